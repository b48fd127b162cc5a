/** `git odb deinit <name>`: takes an ODB's settings out of this repository; the store and the refs stay. */

import { rm } from "node:fs/promises";
import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { parseOdbName } from "../odb/name.js";
import { readQueue } from "../odb/queue.js";
import { unconfigureOdb } from "../odb/setup.js";
import { stateDirectory } from "../odb/state.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";

interface Options extends OutputOptions {
  readonly force?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB")
    .option("--force", "go on although objects wait to be sent to the store")
    .option("-q, --quiet", "say nothing but errors and warnings")
    .action((name: string, options: Options) => deinit(parseOdbName(name), options, context));
}

async function deinit(name: string, options: Options, context: Context): Promise<void> {
  const repo = await openRepository();
  const directory = stateDirectory(repo, name);
  const queue = await readQueue(directory);
  if (queue.length > 0 && !options.force) {
    throw new OdbError(
      "conflict",
      `${queue.length} objects wait for ODB ${name}: run "git odb put --queued ${name}" first, or use --force (they stay in the repository)`,
    );
  }
  if (!(await unconfigureOdb(repo, name))) {
    context.note(`ODB ${name} was not configured in this repository`, options);
    return;
  }
  await rm(directory, { recursive: true, force: true });
  context.note(`ODB ${name}: settings removed; the store and refs/odbs/${name}/ are as they were`, options);
}
