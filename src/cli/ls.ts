/** `git odb ls [<name>]`: lists the ODBs of the repository, or the objects of one. */

import type { Command } from "commander";
import { formatInfo, type ObjectInfo } from "../object/info.js";
import { readOdbConfigs, requireOdbConfig } from "../odb/config.js";
import { readMetadata } from "../odb/refs.js";
import { openRepository, type Repository } from "../repo/git.js";
import { redact } from "../trace.js";
import type { Context } from "./context.js";
import { withOdb } from "./odb.js";

interface Options {
  readonly store?: boolean;
  readonly json?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("[name]", "the ODB whose objects are listed; without it: the ODBs")
    .option("--store", "what the store itself lists, instead of the metadata refs")
    .option("--json", "print a JSON object a line")
    .action(async (name: string | undefined, options: Options) => {
      const repo = await openRepository();
      if (name === undefined) await listOdbs(repo, options, context);
      else await listObjects(repo, name, options, context);
    });
}

async function listOdbs(repo: Repository, options: Options, context: Context): Promise<void> {
  const { odbs, warnings } = await readOdbConfigs(repo);
  for (const line of warnings) context.warn(line);
  for (const { name, urls, mode = "none" } of odbs.values()) {
    const shown = urls.map(redact);
    const line = options.json
      ? JSON.stringify({ name, mode, urls: shown })
      : `${name}\t${mode}\t${shown.join(" ")}`;
    await context.print(`${line}\n`);
  }
}

async function listObjects(
  repo: Repository,
  name: string,
  options: Options,
  context: Context,
): Promise<void> {
  const show = (info: ObjectInfo) =>
    context.print(`${options.json ? JSON.stringify(info) : formatInfo(info)}\n`);
  if (options.store) {
    await withOdb(repo, name, context, async (odb) => {
      const store = await odb.store();
      for await (const info of store.list({ signal: context.signal })) await show(info);
    });
    return;
  }
  const { infos, refused } = await readMetadata(repo, (await requireOdbConfig(repo, name)).name);
  for (const line of refused) context.warn(line);
  for (const info of infos.values()) await show(info);
}
