/** `git odb gc`: few promisor packs, and nothing left of interrupted commands; the same for a serverless repository. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { consolidatePacks } from "../odb/gc.js";
import { openRepository } from "../repo/git.js";
import type { Context } from "./context.js";
import { gcStore, type StoreOptions } from "./gc-store.js";

interface Options extends StoreOptions {
  readonly all?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .option("--all", "make one promisor pack of all, however large they are")
    .option(
      "--store [remote]",
      "collect in the bucket of a serverless repository instead (default: the remote that git push takes)",
    )
    .option("-n, --dry-run", "with --store: only say what would be done")
    .option("--grace <days>", "with --store: how long what no ref needs is kept (default 14)")
    .option("-q, --quiet", "say nothing but errors")
    .action((options: Options) => gc(options, context));
}

async function gc(options: Options, context: Context): Promise<void> {
  if (options.store !== undefined) return gcStore(options.store, options, context);
  if (options.dryRun || options.grace !== undefined) {
    throw new OdbError("invalid", "--dry-run and --grace belong to --store: give it, too");
  }
  const { before, after } = await consolidatePacks(await openRepository(), { all: options.all ?? false });
  context.note(
    before === after ? `promisor packs: ${after}` : `promisor packs: ${after}, before ${before}`,
    options,
  );
}
