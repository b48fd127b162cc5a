/** `git odb uninstall`: takes the pre-push hook of `git odb install` away, and nothing else. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { openRepository } from "../repo/git.js";
import { hookPlace, hookState, removeHook } from "../repo/hooks.js";
import type { Context, OutputOptions } from "./context.js";
import { prePushHook } from "./install.js";

export function define(command: Command, context: Context): void {
  command
    .option("-q, --quiet", "say nothing but errors")
    .action((options: OutputOptions) => uninstall(options, context));
}

async function uninstall(options: OutputOptions, context: Context): Promise<void> {
  const { path } = await hookPlace(await openRepository(), "pre-push");
  const state = await hookState(path, prePushHook);
  if (state === "absent") return context.note(`${path}: there is no hook`, options);
  if (state === "other") {
    throw new OdbError(
      "conflict",
      `${path} is not as "git odb install" writes it, so it stays: take the line with "git odb push" out of it yourself`,
    );
  }
  await removeHook(path);
  context.note(`${path} removed: git push sends no blobs to ODBs by itself any more`, options);
}
