/** git over a repository's objects alone: it knows of no remote, so it fetches nothing and calls absent what is absent. */

import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import type { Repository } from "./git.js";

/**
 * The environment in which a git sees the object store (alternates included) and neither the config nor the refs.
 *
 * GIT_NO_LAZY_FETCH=1 is not enough: with it, git dies of a promised object that is not here instead of calling it
 * missing, and a git before 2.39.4 does not know it. Without a promisor remote in its config there is nothing to promise.
 * The config of this git is that of the empty repository `<git-common-dir>/odb/.objects-only`, made when first needed.
 *
 * @throws OdbError denied, full, when it cannot be made
 */
export function localOnly(repo: Repository): Record<string, string | undefined> {
  return {
    GIT_DIR: emptyRepository(repo),
    GIT_OBJECT_DIRECTORY: repo.objectsDir,
    GIT_COMMON_DIR: undefined,
    GIT_WORK_TREE: undefined,
    GIT_INDEX_FILE: undefined,
    GIT_NAMESPACE: undefined,
    GIT_NO_LAZY_FETCH: "1",
  };
}

/** What git wants to see to take a folder for a repository (gitrepository-layout(5)). HEAD comes last. */
function emptyRepository(repo: Repository): string {
  const directory = join(repo.commonDir, "odb", ".objects-only");
  const head = join(directory, "HEAD");
  if (statSync(head, { throwIfNoEntry: false }) !== undefined) return directory;
  const version = repo.hash === "sha1" ? "0" : "1\n[extensions]\n\tobjectFormat = sha256";
  try {
    for (const folder of ["refs", "objects"]) mkdirSync(join(directory, folder), { recursive: true });
    writeFileSync(
      join(directory, "config"),
      `[core]\n\tbare = true\n\trepositoryFormatVersion = ${version}\n`,
    );
    writeFileSync(head, "ref: refs/heads/none\n");
  } catch (error) {
    throw toOdbError(error, `make ${directory}`);
  }
  return directory;
}
