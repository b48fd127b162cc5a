/** A folder in the object store for what is on its way. */

import { mkdir, rm } from "node:fs/promises";
import { toOdbError } from "../errors.js";
import { temporaryFolder } from "../repo/left-behind.js";

async function makeFolder(path: string): Promise<string> {
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => Promise.reject(toOdbError(error)));
  return path;
}

/** Made on demand and removed at the end; after a crash the next run or `git prune` does. */
export function privateFolder(objectsDir: string): AsyncDisposable & { path(): Promise<string> } {
  let made: Promise<string> | undefined;
  return {
    path() {
      made ??= makeFolder(temporaryFolder(objectsDir));
      return made;
    },
    async [Symbol.asyncDispose]() {
      if (made !== undefined) await rm(await made, { recursive: true, force: true });
    },
  };
}
