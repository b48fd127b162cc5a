/** `git odb gc`: few promisor packs, and nothing left of interrupted commands. */

import type { Command } from "commander";
import { consolidatePacks } from "../odb/gc.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";

interface Options extends OutputOptions {
  readonly all?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .option("--all", "make one promisor pack of all, however large they are")
    .option("-q, --quiet", "say nothing but errors")
    .action((options: Options) => gc(options, context));
}

async function gc(options: Options, context: Context): Promise<void> {
  const { before, after } = await consolidatePacks(await openRepository(), { all: options.all ?? false });
  context.note(
    before === after ? `promisor packs: ${after}` : `promisor packs: ${after}, before ${before}`,
    options,
  );
}
