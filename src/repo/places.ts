/** Where a repository's objects are, found without a git process: for a command that git itself has started. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { OdbError } from "../errors.js";

/** Folders of a repository, absolute. */
export interface Places {
  /** Of this worktree. */
  readonly gitDir: string;
  /** Shared by all worktrees. */
  readonly commonDir: string;
  /** Where new objects go. */
  readonly objectsDir: string;
}

/**
 * Reads GIT_DIR, GIT_COMMON_DIR, GIT_OBJECT_DIRECTORY and the file `commondir` of a linked worktree as git does
 * (gitrepository-layout(5)). git sets GIT_DIR for each remote helper, relative to the current folder or absolute; in
 * a linked worktree it is the folder of that worktree, which has no `objects`.
 *
 * @returns undefined when GIT_DIR is not set
 */
export function placesFromEnvironment(
  env: NodeJS.ProcessEnv = process.env,
  cwd: string = process.cwd(),
): Places | undefined {
  if (!env.GIT_DIR) return undefined;
  const gitDir = resolve(cwd, env.GIT_DIR);
  const commonDir = env.GIT_COMMON_DIR ? resolve(cwd, env.GIT_COMMON_DIR) : commonDirOf(gitDir);
  const objects = env.GIT_OBJECT_DIRECTORY;
  return { gitDir, commonDir, objectsDir: objects ? resolve(cwd, objects) : resolve(commonDir, "objects") };
}

function commonDirOf(gitDir: string): string {
  try {
    return resolve(gitDir, readFileSync(resolve(gitDir, "commondir"), "utf8").replace(/\n+$/, ""));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return gitDir;
    throw new OdbError("config", `${gitDir}: its file "commondir" cannot be read`, { cause: error });
  }
}
