/** `git odb install`: a pre-push hook that sends the selected blobs before their commits, and stops a push that cannot. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { addConfigHook, ownsConfigHook, runsConfigHooks } from "../repo/config-hook.js";
import { openRepository, type Repository } from "../repo/git.js";
import { hookHealth, hookPlace, hookState, writeHook } from "../repo/hooks.js";
import type { Context, OutputOptions } from "./context.js";
import { type HookManager, hookCommand, hookLine, hookManager } from "./hook-managers.js";

/** The whole hook. `uninstall` takes away exactly this. */
export const prePushHook = `#!/bin/sh
# Written by "git odb install"; "git odb uninstall" takes it away.
command -v git-odb >/dev/null 2>&1 || {
	echo "fatal: git-odb is not on PATH, so big files would not be sent: npm install -g git-odb (or git push --no-verify)" >&2
	exit 1
}
exec git odb push --pre-push "$@"
`;

/** The name of ours where the config has the hook. */
export const configHook = "git-odb";

export function define(command: Command, context: Context): void {
  command
    .option("-q, --quiet", "say nothing but errors")
    .action((options: OutputOptions) => install(options, context));
}

async function install(options: OutputOptions, context: Context): Promise<void> {
  const repo = await openRepository();
  const { path, shared } = await hookPlace(repo, "pre-push");
  const state = await hookState(path, prePushHook);
  if (state === "ours") return context.note(`${path} was installed already`, options);
  if (state === "other" || shared) return await installBeside(repo, path, options, context);
  await writeHook(path, prePushHook);
  context.note(`${path}: git push sends selected blobs to their ODBs first from now on`, options);
}

/** Where the place is taken: by the config, if git runs what stands there; else the user is told what to do. */
async function installBeside(
  repo: Repository,
  path: string,
  options: OutputOptions,
  context: Context,
): Promise<void> {
  if (await ownsConfigHook(repo, configHook)) {
    return context.note(`hook.${configHook} was installed already`, options);
  }
  const manager = await hookManager(repo, path);
  const health = await hookHealth(path, prePushHook, hookCommand);
  if (manager?.does || (health?.does && health.runs)) {
    return context.note(`${path} sends selected blobs already`, options);
  }
  if (await runsConfigHooks()) {
    await addConfigHook(repo, configHook, "pre-push", hookCommand);
    const why =
      health === undefined ? "core.hooksPath is set for more than this repository" : `${path} stays`;
    return context.note(
      `hook.${configHook} in the config (${why}): git push sends selected blobs to their ODBs first from now on, with git 2.54 or later`,
      options,
    );
  }
  throw new OdbError("conflict", adviceFor(path, manager, health !== undefined));
}

function adviceFor(path: string, manager: HookManager | undefined, exists: boolean): string {
  if (manager !== undefined) return `${path} is of ${manager.name} and stays as it is: ${manager.advice}`;
  if (exists) {
    return `${path} is a hook of yours and stays as it is: add this line to it, before anything that reads standard input: ${hookLine}`;
  }
  return `core.hooksPath is set for more than this repository, so ${path} is not written: make it yourself, with the line: ${hookLine}`;
}
