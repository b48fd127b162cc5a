/** `git odb offload [<rev>…]`: drops local copies of blobs that the store has proved to hold. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { formatInfo } from "../object/info.js";
import { readOdbConfig } from "../odb/config.js";
import { type OffloadReport, offload as offloadOdb } from "../odb/offload.js";
import type { OffloadScope } from "../odb/offload-candidates.js";
import { isRefusedInSubmodule } from "../odb/promisor-remote.js";
import { promiseStored } from "../odb/server-promise.js";
import { formatBytes } from "../progress.js";
import { getConfig, parseConfigBoolean } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { counted } from "./count.js";
import { withOdb } from "./odb.js";
import { findOnPath } from "./path.js";
import { submoduleAdvice } from "./promisor.js";
import { parseSizeOption } from "./size.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly dryRun?: boolean;
  readonly promise?: boolean;
  readonly olderThan?: string;
  readonly above?: string;
  readonly odb?: readonly string[];
}

export function define(command: Command, context: Context): void {
  command
    .argument("[rev...]", "only what these revisions reach")
    .option("-n, --dry-run", "show what would be dropped, and drop nothing")
    .option("--promise", "on a server: promise what the metadata refs name, and drop nothing")
    .option("--older-than <date>", "only what no commit since then has: 2.weeks, 2024-12-31")
    .option("--above <size>", "only blobs of at least this size: 500k, 1m")
    .option("--odb <name...>", "only from these ODBs (default: every one)");
  addOutputOptions(command).action((revs: string[], options: Options) => offload(revs, options, context));
}

async function offload(revs: readonly string[], options: Options, context: Context): Promise<void> {
  const repo = await openRepository();
  const scope: OffloadScope = {
    revs,
    ...(options.olderThan !== undefined && { olderThan: options.olderThan }),
    ...(options.above !== undefined && { above: parseSizeOption("--above", options.above) }),
  };
  const names = options.odb ?? [...(await readOdbConfig(repo)).keys()];
  if (names.length === 0)
    throw new OdbError("config", `${repo.name} has no ODB: run "git odb init <name> <url>"`);
  if (findOnPath("git-remote-odb") === undefined) {
    throw new OdbError(
      "config",
      'git-remote-odb is not on PATH, so git could not bring back what is dropped: run "npm install -g git-odb", or mend PATH',
    );
  }
  if (await isRefusedInSubmodule(repo)) context.warn(submoduleAdvice);
  for (const name of names) {
    if (options.promise) await promiseIn(repo, name, options, context);
    else await offloadFrom(repo, name, scope, options, context);
  }
}

/** Clients that have sent blobs to the store need not send them here, too. */
async function promiseIn(repo: Repository, name: string, options: Options, context: Context): Promise<void> {
  if (!(await isServer(repo, name))) {
    throw new OdbError("config", `--promise is for a server: run "git odb init --server ${name}" first`);
  }
  const { signal } = context;
  const { length } = await withOdb(repo, name, context, (odb) => promiseStored(odb, { signal }));
  context.note(`ODB ${name}: ${counted(length, "blob")} promised`, options);
}

async function offloadFrom(
  repo: Repository,
  name: string,
  scope: OffloadScope,
  options: Options,
  context: Context,
): Promise<void> {
  const server = await isServer(repo, name);
  const progress = context.progress(`Verifying in ${name}`, undefined, options);
  const { signal } = context;
  const report = await withOdb(repo, name, context, (odb) =>
    offloadOdb(
      odb,
      { ...scope, server },
      { signal, dryRun: options.dryRun ?? false, onVerified: ({ size }) => progress.add(1, size) },
    ),
  ).finally(() => progress.finish());
  if (options.dryRun) for (const info of report.dropped) await context.print(`${formatInfo(info)}\n`);
  for (const line of told(name, report, options)) context.note(line, options);
}

function told(name: string, report: OffloadReport, { dryRun }: Options): string[] {
  const count = counted(report.dropped.length, "blob");
  const lines = [
    dryRun
      ? `ODB ${name}: would drop ${count} of ${formatBytes(report.freed)}`
      : `ODB ${name}: dropped ${count}, freed ${formatBytes(Math.max(0, report.freed))}`,
  ];
  if (report.kept > 0)
    lines.push(`ODB ${name}: ${report.kept} more stay, because a .keep file protects their pack`);
  if (report.bitmapsOff)
    lines.push("repack.writeBitmaps is false now: git gc cannot write a bitmap without the blobs");
  return lines;
}

/** A bare repository that was set up to be what others fetch from. */
async function isServer(repo: Repository, name: string): Promise<boolean> {
  const key = `odb.${name}.server`;
  const value = repo.bare ? await getConfig(repo, key) : undefined;
  return value !== undefined && parseConfigBoolean(key, value);
}
