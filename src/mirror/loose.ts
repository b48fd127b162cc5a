/** Objects as loose ones, a key each, from the temporary repository that holds their pack. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { contentOf } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { openCatFile, smallObjects } from "../repo/cat-file.js";
import { looseStore } from "../store/loose-layout.js";
import { inParallel } from "../store/parallel.js";
import { putContent } from "../store/stage.js";
import type { FetchedPack } from "./fetched-pack.js";

/** Objects on their way at once: the bucket has a limit of its own. */
const WIDTH = 32;

/** In bytes; a larger object goes by itself, streamed. */
const SMALL = 1024 * 1024;

/**
 * Puts every object of a pack. One that is there already, whole, stays: a run that was interrupted goes on.
 *
 * @param onBytes told the size of each
 * @returns how many there are, and the bytes of their content
 */
export async function putLooseObjects(
  bucket: Bucket,
  fetched: FetchedPack,
  onBytes: (bytes: number) => void,
  options: CallOptions,
): Promise<{ objects: number; bytes: number }> {
  const store = looseStore(bucket, { hash: fetched.repo.hash });
  const oids: ObjectId[] = [];
  for await (const oid of fetched.oids()) oids.push(oid);
  const large: ObjectId[] = [];
  let bytes = 0;
  const count = (size: number) => {
    bytes += size;
    onBytes(size);
  };
  const putSmall = async ({ oid, object }: SmallObject) => {
    if (object === undefined) large.push(oid);
    else await putContent(store, object.info, contentOf(object.content), options);
    return object?.info.size;
  };
  for await (const size of inParallel(paired(fetched, oids), WIDTH, putSmall)) count(size);
  await using local = openCatFile(fetched.repo);
  for (const oid of large) {
    const object = await local.get(oid);
    if (object === undefined) throw new OdbError("bug", `object ${oid} has left its own pack`);
    await putContent(store, object.info, object.content, options);
    count(object.info.size);
  }
  return { objects: oids.length, bytes };
}

interface SmallObject {
  readonly oid: ObjectId;
  /** Undefined for a large one. */
  readonly object: { info: ObjectInfo; content: Buffer } | undefined;
}

async function* paired({ repo }: FetchedPack, oids: readonly ObjectId[]): AsyncIterable<SmallObject> {
  const names = oids.values();
  for await (const object of smallObjects(repo, oids, SMALL)) {
    const { value: oid } = names.next();
    if (oid !== undefined) yield { oid, object };
  }
}
