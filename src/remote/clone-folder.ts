/** The folder a clone is made in: claimed before, and taken away again when the clone fails or is interrupted. */

import { rmSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { OdbError, toOdbError } from "../errors.js";

/** A claimed folder. Disposing of it removes what the clone has made, unless it was kept. */
export interface CloneFolder extends AsyncDisposable {
  /** Absolute. */
  readonly path: string;
  /** From now on it stays, whatever happens. */
  keep(): void;
}

/**
 * Makes the folder, or takes an empty one.
 *
 * @throws OdbError conflict, when there is something in it
 */
export async function claimFolder(name: string): Promise<CloneFolder> {
  const path = resolve(name);
  const made = await makeFolder(path, name);
  let kept = false;
  // An interrupted verb may not get as far as disposing.
  const onExit = () => {
    if (!kept) for (const one of junk(path, made)) rmSync(one, forced);
  };
  process.once("exit", onExit);
  return {
    path,
    keep() {
      kept = true;
    },
    async [Symbol.asyncDispose]() {
      process.off("exit", onExit);
      if (kept) return;
      const all = made ? [path] : (await readdir(path)).map((entry) => join(path, entry));
      for (const one of all) await rm(one, forced);
    },
  };
}

/** A git that was told to end may still be writing its last file. */
const forced = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };

/** What was made: the folder, or, in a folder of the user's, the repository. */
function junk(path: string, made: boolean): string[] {
  return made ? [path] : [join(path, ".git")];
}

/** @returns whether it was not there before */
async function makeFolder(path: string, name: string): Promise<boolean> {
  try {
    if ((await mkdir(path, { recursive: true })) !== undefined) return true;
    if ((await readdir(path)).length === 0) return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST" && code !== "ENOTDIR") throw toOdbError(error, `make ${path}`);
  }
  throw new OdbError(
    "conflict",
    `destination path ${JSON.stringify(name)} already exists and is not an empty directory`,
  );
}
