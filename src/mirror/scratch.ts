/** A bare repository for one task, in a temporary folder that goes with it. */

import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isOwnerGone, ownedName } from "../bucket/owner.js";
import { toOdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
import { type Repository, repositoryAt } from "../repo/git.js";

/** A repository that its maker throws away. */
export type ScratchRepository = Repository & AsyncDisposable;

const PREFIX = "git-odb-scratch-";

/**
 * Makes an empty bare repository, readable by this user only; removes those that killed processes left.
 *
 * @param directory default: the system's folder of temporary files
 * @throws OdbError full, denied
 */
export async function scratchRepository(
  hash: HashAlgorithm,
  directory: string = tmpdir(),
): Promise<ScratchRepository> {
  await removeOrphans(directory);
  const gitDir = await mkdtemp(join(directory, `${PREFIX}${ownedName()}-`)).catch((error: unknown) => {
    throw toOdbError(error, `make a temporary repository in ${directory}`);
  });
  const remove = () => rm(gitDir, { recursive: true, force: true });
  try {
    await makeRepository(gitDir, hash);
  } catch (error) {
    await remove();
    throw error;
  }
  const places = { gitDir, commonDir: gitDir, objectsDir: join(gitDir, "objects"), bare: true, hash };
  return { ...repositoryAt(places), [Symbol.asyncDispose]: remove };
}

/** What git needs to see to take a folder for a repository (gitrepository-layout(5)): 8 ms less than `git init`. */
async function makeRepository(gitDir: string, hash: HashAlgorithm): Promise<void> {
  const format = hash === "sha1" ? "0" : `1\n[extensions]\n\tobjectFormat = ${hash}`;
  await mkdir(join(gitDir, "objects/pack"), { recursive: true });
  await mkdir(join(gitDir, "refs"));
  await writeFile(join(gitDir, "config"), `[core]\n\tbare = true\n\trepositoryFormatVersion = ${format}\n`);
  await writeFile(join(gitDir, "HEAD"), "ref: refs/heads/main\n");
}

async function removeOrphans(directory: string): Promise<void> {
  // What cannot be read cannot be tidied: then making our own says why.
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(PREFIX) || isOwnerGone(name.slice(PREFIX.length)) !== true) continue;
    await rm(join(directory, name), { recursive: true, force: true }).catch(() => {});
  }
}
