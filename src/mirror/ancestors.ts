/** What a mirror's older tips stand on, read out of its packs: for a source that has removed the tips themselves. */

import { collect } from "../object/content.js";
import { type HashAlgorithm, hexLength, type ObjectId } from "../object/id.js";
import type { MirrorObjects } from "./bucket-pack.js";
import { type LinkingType, visitLinks } from "./links.js";

/** So many are looked at: a history that was rewritten further down comes as a whole. */
const LIMIT = 1000;

/** In bytes: no commit that matters here is larger. */
const COMMIT_LIMIT = 1024 * 1024;

/**
 * The commits below `tips`, each once, the nearest first.
 *
 * @throws OdbError integrity, when the mirror's copy of one is damaged
 */
export async function* ancestors(
  tips: Iterable<ObjectId>,
  objects: MirrorObjects,
  hash: HashAlgorithm,
): AsyncIterable<ObjectId> {
  const queue = [...tips];
  const seen = new Set(queue);
  for (let at = 0; at < queue.length && at < LIMIT; at++) {
    for (const oid of await linksOf(queue[at] as ObjectId, objects, hash)) {
      if (seen.has(oid)) continue;
      seen.add(oid);
      queue.push(oid);
      yield oid;
    }
  }
}

/** What a tag stands for, or the parents of a commit. */
async function linksOf(oid: ObjectId, objects: MirrorObjects, hash: HashAlgorithm): Promise<ObjectId[]> {
  const found = await objects(oid);
  if (found === undefined) return [];
  const isOne = (found.type === "commit" || found.type === "tag") && found.size <= COMMIT_LIMIT;
  if (!isOne) {
    for await (const _ of found.content) break;
    return [];
  }
  const links: ObjectId[] = [];
  const visit = (bytes: Buffer, at: number) =>
    void links.push(bytes.toString("hex", at, at + hexLength[hash] / 2) as ObjectId);
  visitLinks(found.type as LinkingType, await collect(found.content, COMMIT_LIMIT), hash, visit, () => oid);
  // The first link of a commit is its tree.
  return found.type === "commit" ? links.slice(1) : links;
}
