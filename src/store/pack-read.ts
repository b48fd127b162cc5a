/** Reading the files of a bucket's packs: pieces of any, an index whole. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import { parseIndex } from "../pack/idx.js";
import { type BucketPack, packKey } from "./bucket-packs.js";
import { hashOfPack, type IndexCache, type WholeIndex } from "./index-cache.js";

/** A file of a pack that was listed, or is known from before, is not there: a collection has removed it. */
export class PackGone extends OdbError {
  constructor(what: string) {
    super("unavailable", `${what} was removed while it was read: try again`);
  }
}

/** The bytes from `start` to `end` (exclusive) of a key. @throws PackGone */
export async function readPiece(
  bucket: Bucket,
  key: string,
  start: number,
  end: number,
  options?: CallOptions,
): Promise<Content> {
  const body = await bucket.read(key, { ...options, range: { start, end } });
  if (body !== undefined) return body.content;
  throw new PackGone(`${bucket.name}/${key}`);
}

/**
 * Reads an index whole, from the cache or else from the bucket, its checksum verified; the cache keeps it.
 *
 * @throws OdbError integrity; PackGone
 */
export async function readIndex(
  bucket: Bucket,
  pack: BucketPack,
  cache: IndexCache | undefined,
  options?: CallOptions,
): Promise<WholeIndex> {
  const cached = await cache?.read(pack);
  if (cached !== undefined) return cached;
  const key = packKey(pack.name, "idx");
  const bytes = await collect(await readPiece(bucket, key, 0, pack.indexSize, options), pack.indexSize);
  const { index, packChecksum } = await parseIndex(bytes, hashOfPack(pack), `${bucket.name}/${key}`);
  cache?.keep(pack, bytes, packChecksum);
  return { bytes, index };
}
