/** The .gitattributes file that a verb edits: the one of the folder it was started in, as `git` users expect. */

import { realpathSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { OdbError } from "../errors.js";
import type { Repository } from "../repo/git.js";

/** A .gitattributes file. */
export interface AttributesPath {
  readonly path: string;
  /** Relative to the top of the work tree, for messages. */
  readonly shown: string;
}

/**
 * The .gitattributes of the current folder, or of the top when that is outside of the work tree.
 *
 * @throws OdbError config, without a work tree
 */
export function attributesPathOf(repo: Repository, cwd: string = process.cwd()): AttributesPath {
  if (repo.workTree === undefined) {
    throw new OdbError(
      "config",
      `${repo.name} has no work tree: run this in one, or write the pattern to ${join(repo.commonDir, "info/attributes")}`,
    );
  }
  const below = relative(repo.workTree, realpathSync(cwd));
  const folder = below === ".." || below.startsWith("../") || isAbsolute(below) ? "" : below;
  const shown = join(folder, ".gitattributes");
  return { path: join(repo.workTree, shown), shown };
}
