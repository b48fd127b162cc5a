/** `git odb install`: a pre-push hook that sends the selected blobs before their commits, and stops a push that cannot. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { openRepository } from "../repo/git.js";
import { hookPlace, hookState, writeHook } from "../repo/hooks.js";
import type { Context, OutputOptions } from "./context.js";

/** The whole hook. `uninstall` takes away exactly this. */
export const prePushHook = `#!/bin/sh
# Written by "git odb install"; "git odb uninstall" takes it away.
command -v git-odb >/dev/null 2>&1 || {
	echo "fatal: git-odb is not on PATH, so big files would not be sent: npm install -g git-odb (or git push --no-verify)" >&2
	exit 1
}
exec git odb push --pre-push "$@"
`;

/** What a hook of the user's needs in it. git gives the hook its standard input once. */
export const hookLine = 'git odb push --pre-push "$@" || exit 1';

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
  if (state === "other") {
    throw new OdbError(
      "conflict",
      `${path} is a hook of yours and stays as it is: add this line to it, before anything that reads standard input: ${hookLine}`,
    );
  }
  if (shared) {
    throw new OdbError(
      "conflict",
      `core.hooksPath is set for more than this repository, so ${path} is not written: make it yourself, with the line: ${hookLine}`,
    );
  }
  await writeHook(path, prePushHook);
  context.note(`${path}: git push sends selected blobs to their ODBs first from now on`, options);
}
