/** `git odb pull`: brings the blobs that the current checkout is made of, in one batch. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { missingInCheckout } from "../odb/missing.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { bringMissing } from "./fetch-missing.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly dryRun?: boolean;
}

export function define(command: Command, context: Context): void {
  command.option("-n, --dry-run", "only say what is missing");
  addOutputOptions(command).action((options: Options) => pull(options, context));
}

async function pull(options: Options, context: Context): Promise<void> {
  const repo = await openRepository();
  if (repo.workTree === undefined) {
    throw new OdbError("config", `${repo.name} has no work tree: "git odb fetch <rev>" names what to bring`);
  }
  await bringMissing(repo, options, context, () => missingInCheckout(repo));
}
