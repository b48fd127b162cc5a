/** `mirror`: any number of repositories, a few at a time, each by itself: one that fails leaves the others done. */

import type { Bucket } from "../bucket/bucket.js";
import { openBucket } from "../bucket/open.js";
import { toOdbError } from "../errors.js";
import { sourceName, withoutUserinfo } from "../repo/upload-pack.js";
import { mirrorOne } from "./mirror-one.js";
import type { MirrorDone, MirrorFailed, MirrorOptions, MirrorPair, MirrorReport } from "./options.js";

const WORKERS = 4;

/**
 * Copies git repositories to buckets, so that any git can clone them from there over plain HTTP; run again, it copies
 * what is new. Pairs are taken as workers get free.
 *
 * @returns what became of each pair; it throws only what `pairs` throws, or `aborted`
 */
export async function mirror(
  pairs: Iterable<MirrorPair> | AsyncIterable<MirrorPair>,
  options: MirrorOptions = {},
): Promise<MirrorReport> {
  const queue = each(pairs);
  const done: MirrorDone[] = [];
  const failed: MirrorFailed[] = [];
  const worker = async () => {
    for await (const pair of { [Symbol.asyncIterator]: () => queue }) {
      options.signal?.throwIfAborted();
      const outcome = await mirrorPair(pair, options);
      if ("error" in outcome) {
        failed.push(outcome);
        options.onEvent?.({ event: "failed", ...outcome });
      } else {
        done.push(outcome);
        options.onEvent?.({ event: "done", ...outcome });
      }
    }
  };
  await Promise.all(Array.from({ length: options.workers ?? WORKERS }, worker));
  options.signal?.throwIfAborted();
  return { done, failed };
}

/** One after the other, however many ask; nobody's end ends it for the others. */
function each(pairs: Iterable<MirrorPair> | AsyncIterable<MirrorPair>): AsyncIterator<MirrorPair> {
  async function* all() {
    yield* pairs;
  }
  const pending = all();
  return { next: () => pending.next() };
}

async function mirrorPair(pair: MirrorPair, options: MirrorOptions): Promise<MirrorDone | MirrorFailed> {
  const names = { source: sourceName(pair.source), target: targetName(pair.target) };
  options.onEvent?.({ event: "start", ...names });
  let bucket: Bucket | undefined;
  try {
    bucket = await openBucket(pair.target, {
      ...(options.credentials && { credentials: options.credentials }),
      ...(options.s3Client && { s3Client: options.s3Client }),
    });
    return { ...(await mirrorOne(pair.source, bucket, options)), ...names };
  } catch (error) {
    return { ...names, error: toOdbError(error) };
  } finally {
    await bucket?.close();
  }
}

/** Its query may hold an endpoint and more, but it never holds a credential: those are refused. */
function targetName(url: string): string {
  return withoutUserinfo(url).split("?", 1)[0] ?? "";
}
