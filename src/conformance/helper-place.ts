/** The repositories that a helper is run in: made, found and read by git. */

import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import type { HashAlgorithm } from "../object/id.js";

/** A repository with a work tree. */
export interface Place {
  readonly dir: string;
  readonly hash: HashAlgorithm;
}

/** What git sets or unsets for the repository at hand: none of the user's may reach the helper. */
export const repositoryVariables = [
  "GIT_DIR",
  "GIT_WORK_TREE",
  "GIT_INDEX_FILE",
  "GIT_OBJECT_DIRECTORY",
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_COMMON_DIR",
  "GIT_NAMESPACE",
  "GIT_PREFIX",
  "GIT_NO_EXTERNAL_ODB",
] as const;

/** The repository that has this folder. @throws Error when there is none */
export function existing(cwd: string): Place {
  const dir = git(["-C", cwd, "rev-parse", "--show-toplevel"]).trim();
  const format = git(["-C", cwd, "config", "--default", "sha1", "extensions.objectFormat"]).trim();
  return { dir, hash: format === "sha256" ? "sha256" : "sha1" };
}

/** Runs git to its end, with no ODB at hand. @throws Error when it fails */
export function git(args: readonly string[], input?: Uint8Array): string {
  const env: NodeJS.ProcessEnv = { ...process.env, GIT_NO_EXTERNAL_ODB: "1" };
  for (const name of repositoryVariables) if (name !== "GIT_NO_EXTERNAL_ODB") delete env[name];
  return execFileSync("git", args, {
    env,
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    input: input ?? "",
  });
}

/** What `git cat-file blob` says of it, with no ODB at hand; undefined when it is not there. */
export function installedIn(dir: string, oid: string): Promise<Buffer | undefined> {
  const env: NodeJS.ProcessEnv = { ...process.env, GIT_NO_EXTERNAL_ODB: "1", GIT_DIR: join(dir, ".git") };
  return new Promise((resolve) => {
    execFile(
      "git",
      ["cat-file", "blob", oid],
      { env, encoding: "buffer", maxBuffer: 1 << 28 },
      (error, stdout) => resolve(error ? undefined : stdout),
    );
  });
}
