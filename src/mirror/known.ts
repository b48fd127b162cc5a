/** Which objects a mirror has: looked up in the indexes of its packs, or by the keys of loose ones. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import { algorithmOf, type HashAlgorithm, type ObjectId } from "../object/id.js";
import { openIndex, type PackIndex } from "../pack/idx.js";
import { looseKey } from "../store/loose-layout.js";
import type { MirrorLayout } from "./record.js";

/** Where an object lies in the packs of a mirror. */
export interface PackPlace {
  readonly key: string;
  readonly size: number;
  readonly hash: HashAlgorithm;
  readonly index: PackIndex;
  readonly offset: number;
}

/** The objects that the published tables lead to. */
export interface KnownObjects {
  has(oid: ObjectId): Promise<boolean>;
  /** @returns undefined when no listed pack has it */
  find(oid: ObjectId): Promise<PackPlace | undefined>;
}

/** An index up to this size is read whole. */
const WHOLE = 16 * 1024 * 1024;

/** A larger one by blocks of this size, of which so many are kept: enough for names that come sorted. */
const BLOCK = 256 * 1024;
const BLOCKS = 64;

/** Indexes are opened on the first question. */
export function knownObjects(
  bucket: Bucket,
  packs: readonly string[],
  layout: MirrorLayout,
  options: CallOptions,
): KnownObjects {
  let opened: Promise<Omit<PackPlace, "offset">[]> | undefined;
  const find = async (oid: ObjectId) => {
    opened ??= Promise.all(packs.map((name) => openPack(bucket, name, options)));
    for (const pack of await opened) {
      const offset = await pack.index.find(oid);
      if (offset !== undefined) return { ...pack, offset };
    }
    return undefined;
  };
  return {
    find,
    async has(oid) {
      if ((await find(oid)) !== undefined) return true;
      return layout === "loose" && (await bucket.head(looseKey(oid), options)) !== undefined;
    },
  };
}

async function openPack(
  bucket: Bucket,
  name: string,
  options: CallOptions,
): Promise<Omit<PackPlace, "offset">> {
  const [key, indexKey] = [`objects/pack/${name}.pack`, `objects/pack/${name}.idx`];
  const [pack, idx] = await Promise.all([bucket.head(key, options), bucket.head(indexKey, options)]);
  if (pack === undefined || idx === undefined) {
    const missing = pack === undefined ? key : indexKey;
    throw new OdbError(
      "integrity",
      `${bucket.name}: its list of packs names ${name}, but ${missing} is not there: use --force to copy all of it again`,
    );
  }
  const hash = algorithmOf(name.slice("pack-".length) as ObjectId);
  const read = blocks(async (start, end) => {
    const body = await bucket.read(indexKey, { ...options, range: { start, end } });
    return body === undefined ? Buffer.alloc(0) : await collect(body.content, end - start);
  }, idx.size);
  return {
    key,
    size: pack.size,
    hash,
    index: await openIndex(read, idx.size, hash, `${bucket.name}/${indexKey}`),
  };
}

type Read = (start: number, end: number) => Promise<Buffer>;

/** Reads through a cache of blocks; a small file is one block. */
function blocks(read: Read, size: number): Read {
  const block = size <= WHOLE ? Math.max(size, 1) : BLOCK;
  const cache = new Map<number, Promise<Buffer>>();
  const get = (number: number) => {
    const found = cache.get(number) ?? read(number * block, Math.min(size, (number + 1) * block));
    cache.delete(number);
    cache.set(number, found);
    for (const oldest of cache.keys()) if (cache.size > BLOCKS) cache.delete(oldest);
    return found;
  };
  return async (start, end) => {
    const [first, last] = [Math.floor(start / block), Math.floor((Math.max(end, start + 1) - 1) / block)];
    if (first === last) return (await get(first)).subarray(start - first * block, end - first * block);
    const pieces: Buffer[] = [];
    for (let number = first; number <= last; number++) pieces.push(await get(number));
    return Buffer.concat(pieces).subarray(start - first * block, end - first * block);
  };
}
