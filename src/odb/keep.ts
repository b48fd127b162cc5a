/** The last place for an object that the store cannot take and git will not keep: the repository's own object store. */

import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { Content, SourceObject } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { encodeLoose } from "../object/loose.js";
import type { Repository } from "../repo/git.js";
import { writeLoose } from "../repo/loose-writer.js";
import { type StagedObject, stage } from "../store/stage.js";
import { enqueue } from "./queue.js";
import { stateDirectory } from "./state.js";

/** `init --script` sets core.bigFileThreshold to 8 MiB: nothing larger comes in script mode. */
const SCRIPT_LIMIT = 8 * 1024 * 1024;

/**
 * Sets an object aside, verified, so that it can still be kept when its store fails: not where the store stages, which
 * may be what is full; in memory up to what script mode is fit for.
 *
 * @param name of its ODB, as far as it is known
 * @throws OdbError integrity, when it is not the object
 */
export function stageToKeep(
  repo: Repository,
  name: string | undefined,
  info: ObjectInfo,
  content: Content,
): Promise<StagedObject> {
  const directory = join(name === undefined ? repo.objectsDir : stateDirectory(repo, name), "tmp");
  return stage(info, content, { directory, memoryLimit: SCRIPT_LIMIT });
}

/**
 * Keeps an object as a loose one, and queues it for its store, if the name of that is known. Durable when it resolves.
 *
 * @param why the store did not take it
 * @throws OdbError, which says that the object is stored nowhere
 */
export async function keepObject(
  repo: Repository,
  name: string | undefined,
  staged: SourceObject,
  why: OdbError,
): Promise<void> {
  const { info } = staged;
  try {
    await writeLoose(repo.objectsDir, info.oid, encodeLoose(info, staged.open()));
    if (name !== undefined) await enqueue(stateDirectory(repo, name), info);
  } catch (error) {
    const { code, message } = toOdbError(error);
    throw new OdbError(code, `object ${info.oid} is stored NOWHERE: ${why.message}; ${message}`, {
      cause: error,
    });
  }
}

/** For a put that ended in the repository instead of the store. */
export function keptWarning(oid: ObjectId, name: string | undefined, why: OdbError): string {
  const later =
    name === undefined
      ? `mend the command in the config, then "git odb put <name> ${oid}" sends it`
      : `"git odb put ${name} --queued" or the next run of the helper sends it`;
  return `object ${oid} could not be stored: ${why.message}; it is kept in this repository; ${later}`;
}
