/** Which objects a mirror has: looked up in the indexes of its packs, or by the keys of loose ones. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import { algorithmOf, type HashAlgorithm, type ObjectId } from "../object/id.js";
import { openIndex, type PackIndex } from "../pack/idx.js";
import { looseKey } from "../store/loose-layout.js";
import { blockwise } from "./blocks.js";
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
  const range = async (start: number, end: number) => {
    const body = await bucket.read(indexKey, { ...options, range: { start, end } });
    return body === undefined ? Buffer.alloc(0) : await collect(body.content, end - start);
  };
  const [block, kept] = idx.size <= WHOLE ? [Math.max(idx.size, 1), 1] : [BLOCK, BLOCKS];
  const read = blockwise(range, idx.size, block, kept);
  return {
    key,
    size: pack.size,
    hash,
    index: await openIndex(read, idx.size, hash, `${bucket.name}/${indexKey}`),
  };
}
