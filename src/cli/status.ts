/** `git odb status`: every selected path, and where its blob is. Exit 1 when one is missing. */

import { type Command, Option } from "commander";
import { toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { readOdbConfigs } from "../odb/config.js";
import { isOdbName } from "../odb/name.js";
import type { Odb } from "../odb/session.js";
import { localObjects, type SelectedPath, selectedPaths } from "../odb/survey.js";
import { readConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import type { Context } from "./context.js";
import { withOdb } from "./odb.js";
import { formatRow, type Row, summarize } from "./status-format.js";

interface Options {
  readonly json?: boolean;
  readonly porcelain?: boolean;
  readonly null?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("[name...]", "only these ODBs")
    .addOption(new Option("--porcelain", "a line a path, in a form that stays the same").conflicts("json"))
    .option("--json", "print a JSON object a line")
    .option("-z, --null", "with --porcelain: end lines with NUL and quote no path")
    .action((names: string[], options: Options) => status(names, options, context));
}

async function status(names: readonly string[], options: Options, context: Context): Promise<void> {
  const repo = await openRepository();
  const { odbs, warnings } = await readOdbConfigs(repo, await readConfig(repo));
  for (const line of warnings) context.warn(line);
  const selected: SelectedPath[] = [];
  for await (const path of selectedPaths(repo, odbs, (line) => context.warn(line))) {
    if (names.length === 0 || names.includes(path.odb)) selected.push(path);
  }
  const local = await localObjects(repo, [...new Set(selected.map(({ oid }) => oid))]);
  const rows: Row[] = [];
  for (const name of new Set(selected.map(({ odb }) => odb))) {
    const paths = selected.filter(({ odb }) => odb === name);
    if (odbs.has(name)) {
      rows.push(...(await withOdb(repo, name, context, (odb) => rowsOf(odb, paths, local, context))));
    } else {
      context.warn(unconfigured(name, paths.length, repo));
      rows.push(...paths.map((path) => rowOf(path, local, undefined, false)));
    }
  }
  await show(rows, options, context);
  if (rows.some(({ state }) => state === "missing")) process.exitCode = 1;
}

function unconfigured(name: string, count: number, repo: Repository): string {
  const paths = count === 1 ? "1 path" : `${count} paths`;
  if (!isOdbName(name))
    return `${repo.name}: .gitattributes gives ${paths} odb=${name}, which is no name of an ODB`;
  return `${repo.name}: .gitattributes names ODB ${name} for ${paths}, but it is not configured: run "git odb init ${name} <url>"`;
}

async function rowsOf(
  odb: Odb,
  paths: readonly SelectedPath[],
  local: ReadonlyMap<ObjectId, ObjectInfo | undefined>,
  context: Context,
): Promise<Row[]> {
  const queued = new Set((await odb.queued()).map(({ oid }) => oid));
  const stored = new Map<ObjectId, ObjectInfo>();
  try {
    for await (const info of odb.have({ signal: context.signal })) stored.set(info.oid, info);
    // Put by another clone whose metadata refs were not fetched, perhaps: the store knows.
    for (const { oid } of paths) {
      if (local.has(oid) || stored.has(oid)) continue;
      const info = await odb.stat(oid, { signal: context.signal });
      if (info) stored.set(oid, info);
    }
  } catch (error) {
    context.signal.throwIfAborted();
    context.warn(`ODB ${odb.name} could not be asked: ${toOdbError(error).message}`);
  }
  return paths.map((path) => rowOf(path, local, stored.get(path.oid), queued.has(path.oid)));
}

function rowOf(
  { path, oid, odb }: SelectedPath,
  local: ReadonlyMap<ObjectId, ObjectInfo | undefined>,
  stored: ObjectInfo | undefined,
  queued: boolean,
): Row {
  const here = local.has(oid);
  const state = queued ? "queued" : stored ? "stored" : here ? "local" : "missing";
  return {
    path,
    oid,
    odb,
    size: (stored ?? local.get(oid))?.size,
    local: here,
    stored: stored !== undefined,
    queued,
    state,
  };
}

async function show(rows: readonly Row[], options: Options, context: Context): Promise<void> {
  const format = options.json ? "json" : options.porcelain ? "porcelain" : "text";
  for (const row of rows) await context.print(formatRow(row, format, options.null ?? false));
  if (format === "text") await context.print(summarize(rows));
}
