/** Reads pieces of a bucket's keys in order, several at a time, in bounded memory. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import { inParallel } from "../store/parallel.js";

/** Bytes of one key. */
export interface KeyRange {
  readonly key: string;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** A longer range is read in pieces of this size. */
const PIECE = 4 * 1024 * 1024;

/** Pieces under way: 32 MiB at most. */
const WIDTH = 8;

/**
 * The ranges' bytes, one after the other.
 *
 * @throws OdbError unavailable, when a key is gone: a collection has removed it meanwhile
 */
export async function* readRanges(
  bucket: Bucket,
  ranges: Iterable<KeyRange>,
  options?: CallOptions,
): Content {
  yield* inParallel(pieces(ranges), WIDTH, (range) => readRange(bucket, range, options));
}

/** @throws OdbError as {@link readRanges} */
export async function readRange(
  bucket: Bucket,
  { key, start, end }: KeyRange,
  options?: CallOptions,
): Promise<Buffer> {
  const body = await bucket.read(key, { ...options, range: { start, end } });
  if (body === undefined) {
    throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was read: try again`);
  }
  const bytes = await collect(body.content, end - start);
  if (bytes.length === end - start) return bytes;
  throw new OdbError("integrity", `${bucket.name}/${key} is shorter than it should be`);
}

async function* pieces(ranges: Iterable<KeyRange>): AsyncGenerator<KeyRange> {
  for (const { key, start, end } of ranges) {
    for (let at = start; at < end; at += PIECE) yield { key, start: at, end: Math.min(at + PIECE, end) };
  }
}
