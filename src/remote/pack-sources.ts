/** Packs of the bucket whose indexes have been read: what is in them is known, and can be taken from them. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { wrapBucket } from "../bucket/wrap.js";
import { type Content, contentOf } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { ReadRange } from "../pack/idx.js";
import { type JoinSource, planJoin } from "../pack/join.js";
import { type BucketPack, packKey } from "../store/bucket-packs.js";
import type { IndexCache, WholeIndex } from "../store/index-cache.js";
import { readIndex } from "../store/pack-read.js";
import { inParallel } from "../store/parallel.js";
import { readRange, readRanges } from "./read-ranges.js";

/** A pack with its index. */
export interface IndexedPack {
  readonly pack: BucketPack;
  readonly index: WholeIndex;
}

/** A pack whose objects are known in the order in which they lie in it. */
export interface OpenPack {
  readonly pack: BucketPack;
  readonly source: JoinSource;
}

/** Where packs are read. */
export interface PackPlace {
  readonly bucket: Bucket;
  readonly hash: HashAlgorithm;
  readonly call: CallOptions;
  /** Where indexes are kept from one fetch to the next. */
  readonly indexes?: IndexCache;
}

/** Indexes on their way at the same time. */
const PARALLEL = 8;

/** Reads every index whole, its checksum verified, in the order of the packs. */
export async function readIndexes(
  { bucket, call, indexes }: PackPlace,
  packs: readonly BucketPack[],
): Promise<IndexedPack[]> {
  const read = async (pack: BucketPack) => ({ pack, index: await readIndex(bucket, pack, indexes, call) });
  const indexed: IndexedPack[] = [];
  for await (const one of inParallel(packs, PARALLEL, read)) indexed.push(one);
  return indexed;
}

/** As {@link readIndexes}, with all that they say. */
export async function openPacks(place: PackPlace, packs: readonly BucketPack[]): Promise<OpenPack[]> {
  return await openIndexed(place, await readIndexes(place, packs));
}

/** Takes the entries out of indexes. */
export async function openIndexed({ bucket }: PackPlace, packs: readonly IndexedPack[]): Promise<OpenPack[]> {
  const opened: OpenPack[] = [];
  for (const { pack, index } of packs) {
    const entries: JoinSource["entries"][number][] = [];
    for await (const { oid, offset } of index.index.entries()) entries.push({ oid, offset });
    entries.sort((a, b) => a.offset - b.offset);
    const name = `${bucket.name}/${packKey(pack.name, "pack")}`;
    opened.push({ pack, source: { name, size: pack.size, entries } });
  }
  return opened;
}

/** One pack of the wanted objects. What else they stand on must be where it goes. */
export function joinPacks(
  { bucket, hash, call }: PackPlace,
  opened: readonly OpenPack[],
  isWanted: (oid: ObjectId) => boolean,
): Content {
  const plan = planJoin(
    opened.map(({ source }) => source),
    hash,
    isWanted,
  );
  const ranges = plan.runs.map(({ source, start, end }) => {
    const key = packKey(opened[source]?.pack.name ?? "", "pack");
    return { key, start, end };
  });
  return plan.pack(readRanges(bucket, ranges, call));
}

/** Reads a piece of a pack. */
export function packReader({ bucket, call }: PackPlace, { pack }: OpenPack): ReadRange {
  const key = packKey(pack.name, "pack");
  return (start, end) => readRange(bucket, { key, start, end }, call);
}

/** Packs up to this size are read whole, once. */
const SMALL = 64 * 1024;

/** Bytes of small packs that are kept. */
const KEPT = 32 * 1024 * 1024;

/** The bucket, small packs of which are read by one request, however often they are looked into. */
export function keepingSmall(bucket: Bucket, packs: readonly BucketPack[]): Bucket {
  const small = new Map<string, number>();
  let left = KEPT;
  for (const { name, size } of packs) {
    if (size > SMALL || size > left) continue;
    left -= size;
    small.set(packKey(name, "pack"), size);
  }
  const kept = new Map<string, Promise<Buffer>>();
  return wrapBucket(bucket, {
    async read(key, options) {
      const size = small.get(key);
      if (size === undefined || options?.range === undefined) return await bucket.read(key, options);
      const { range, ...call } = options;
      const whole = kept.get(key) ?? readRange(bucket, { key, start: 0, end: size }, call);
      kept.set(key, whole);
      return { entry: { key, size }, content: contentOf((await whole).subarray(range.start, range.end)) };
    },
  });
}
