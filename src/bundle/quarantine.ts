/** A place for a pack until it is proved, out of sight of the repository: what is refused leaves nothing behind. */

import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { Repository } from "../repo/git.js";
import { temporaryFolder } from "../repo/left-behind.js";

/** An object store of its own that borrows from the repository's. Disposing of it throws away what was not accepted. */
export interface Quarantine extends AsyncDisposable {
  /** With this a git writes here, and sees the objects of both. */
  readonly env: Readonly<Record<string, string>>;
  /** Moves the packs into the repository. @throws OdbError full, denied */
  accept(): Promise<void>;
}

/** @throws OdbError full, denied */
export async function openQuarantine({ objectsDir }: Pick<Repository, "objectsDir">): Promise<Quarantine> {
  // Should we be killed, the next run of ours takes it away by its name, or `git prune` does.
  const folder = temporaryFolder(objectsDir);
  const packs = join(folder, "pack");
  try {
    await mkdir(join(folder, "info"), { recursive: true, mode: 0o700 });
    await writeFile(join(folder, "info/alternates"), `${objectsDir}\n`);
  } catch (error) {
    throw toOdbError(error, `write ${folder}`);
  }
  return {
    env: { GIT_OBJECT_DIRECTORY: folder },
    async accept() {
      const target = join(objectsDir, "pack");
      try {
        await mkdir(target, { recursive: true });
        for (const name of inOrder(await readdir(packs))) await move(join(packs, name), join(target, name));
      } catch (error) {
        throw toOdbError(error, `write ${target}`);
      }
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A pack has its name from its bytes: where there is one of this name, it stays, and may be in use. */
async function move(from: string, to: string): Promise<void> {
  const isThere = await stat(to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  if (!isThere) await rename(from, to);
}

/** The index comes last: with it the pack is there. */
const ORDER = [".pack", ".promisor", ".rev", ".idx"];

function inOrder(names: readonly string[]): string[] {
  const rank = (name: string) => ORDER.findIndex((extension) => name.endsWith(extension));
  const odd = names.find((name) => rank(name) < 0);
  if (odd !== undefined) throw new OdbError("bug", `git index-pack left ${odd}`);
  return [...names].sort((a, b) => rank(a) - rank(b));
}
