/** Keeps what a push relies on out of the reach of a collection that has begun: old keys are written again. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { spool } from "../object/spool.js";
import { GRACE_MS, readGcLists } from "./gc-list.js";

/** Whether a key of this age must be written again before refs may rely on it: at half the grace period. */
export function isOld(modified: Date | undefined, now: number, graceMs = GRACE_MS): boolean {
  return modified === undefined || now - modified.getTime() > graceMs / 2;
}

/**
 * Writes those of `keys` again that a collection has listed, or may list and remove before this push is through.
 * To be called after all objects are there, right before the refs move.
 *
 * @param keys that were there before this push and that its refs will need
 * @throws OdbError conflict, when one has just been removed: the push is to be made again
 */
export async function freshen(bucket: Bucket, keys: Iterable<string>, options?: CallOptions): Promise<void> {
  const relied = [...new Set(keys)];
  if (relied.length === 0) return;
  const lists = await readGcLists(bucket, options);
  const graceMs = Math.min(GRACE_MS, ...lists.map((list) => list.graceMs));
  for (const key of relied) {
    const entry = await bucket.head(key, options);
    if (entry === undefined) throw removed(bucket, key);
    const listed = lists.some(({ candidates }) => candidates.has(key));
    if (listed || isOld(entry.modified, Date.now(), graceMs)) await rewrite(bucket, key, options);
  }
}

/** The same bytes once more: S3 refuses to copy a key onto itself. */
async function rewrite(bucket: Bucket, key: string, options?: CallOptions): Promise<void> {
  const body = await bucket.read(key, options);
  if (body === undefined) throw removed(bucket, key);
  const { stagingDirectory: directory } = bucket;
  await using bytes = await spool(body.content, {
    ...options,
    ...(directory !== undefined && { directory }),
  });
  const { sha256 } = body.entry;
  await bucket.write(key, bytes, { ...options, ...(sha256 !== undefined && { sha256 }) });
}

function removed(bucket: Bucket, key: string): OdbError {
  return new OdbError("conflict", `${bucket.name}/${key} was removed while it was pushed: push again`);
}
