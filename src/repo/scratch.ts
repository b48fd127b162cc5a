/** A bare repository of our own for as long as something is worked out in it. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HashAlgorithm } from "../object/id.js";
import { openRepository, type Repository } from "./git.js";
import { runGit } from "./process.js";

/** What would lead git into another repository (`git rev-parse --local-env-vars`, as far as it names places). */
const variables = [
  "GIT_DIR",
  "GIT_WORK_TREE",
  "GIT_COMMON_DIR",
  "GIT_OBJECT_DIRECTORY",
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_INDEX_FILE",
  "GIT_NAMESPACE",
  "GIT_QUARANTINE_PATH",
];

/**
 * Makes one in a temporary folder, gone after disposal. From then on this process is in no other repository: what the
 * environment says of one is taken away.
 */
export async function openScratchRepository(hash: HashAlgorithm): Promise<Repository & AsyncDisposable> {
  for (const name of variables) delete process.env[name];
  const dir = await mkdtemp(join(tmpdir(), "git-odb-scratch-"));
  const remove = () => rm(dir, { recursive: true, force: true });
  try {
    const format = hash === "sha1" ? [] : [`--object-format=${hash}`];
    await runGit(["init", "--quiet", "--bare", "--template=", ...format, dir]);
    return { ...(await openRepository(dir)), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
