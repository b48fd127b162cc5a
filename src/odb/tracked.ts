/** Whether anything in the work tree is marked for an ODB. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import type { Repository } from "../repo/git.js";
import { trackedPatterns } from "./attributes-file.js";

/** Looks for patterns in the `.gitattributes` of the top, committed or not, and in those of the index. */
export async function tracksPatterns(repo: Repository, name: string): Promise<boolean> {
  const { workTree } = repo;
  if (workTree === undefined) return false;
  const files = new Set([".gitattributes"]);
  const args = ["ls-files", "-z", "--full-name", "--", ":(top,glob)**/.gitattributes"];
  for await (const path of repo.runLines(args, { separator: "\0" })) files.add(path);
  for (const file of files) {
    const text = await readFile(join(workTree, file), "latin1").catch((error: NodeJS.ErrnoException) => {
      // Not checked out, or there is none.
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return "";
      throw toOdbError(error);
    });
    if (trackedPatterns(text).some((tracked) => tracked.name === name)) return true;
  }
  return false;
}
