/** `git odb uninstall`: takes the pre-push hook of `git odb install` away, and nothing else. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { removeConfigHook } from "../repo/config-hook.js";
import { openRepository } from "../repo/git.js";
import { hookPlace, hookState, removeHook } from "../repo/hooks.js";
import type { Context, OutputOptions } from "./context.js";
import { configHook, prePushHook } from "./install.js";

export function define(command: Command, context: Context): void {
  command
    .option("-q, --quiet", "say nothing but errors")
    .action((options: OutputOptions) => uninstall(options, context));
}

async function uninstall(options: OutputOptions, context: Context): Promise<void> {
  const repo = await openRepository();
  const { path } = await hookPlace(repo, "pre-push");
  const state = await hookState(path, prePushHook);
  if (state !== "ours" && (await removeConfigHook(repo, configHook))) {
    return context.note(
      `hook.${configHook} removed: git push sends no blobs to ODBs by itself any more`,
      options,
    );
  }
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
