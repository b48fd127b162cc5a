/** A folder that a git with ODB support fails to find an object in if it makes it itself. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Makes `external/` in the object store, where that git keeps what it gets in loose form. While the folder is not there,
 * that git's first look for an object ends in "missing", though it got the object: it then looks at the wrong path
 * (observed on versions 5 and 6; a push to a new repository prints "missing blob object" and is checked once more).
 *
 * A repository that may not be written to goes without: git can keep nothing there either, and says so.
 */
export async function makeExternalFolder(objectsDir: string): Promise<void> {
  await mkdir(join(objectsDir, "external")).catch((error: NodeJS.ErrnoException) => {
    if (!["EEXIST", "EACCES", "EPERM", "EROFS"].includes(error.code ?? "")) throw error;
  });
}
