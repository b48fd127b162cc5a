/** Gives what a push relies on a new grace period: what a collection has listed is written again. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { spool } from "../object/spool.js";
import { readGcLists, versionOf } from "./gc-list.js";

/**
 * Writes those of `keys` again that are as an earlier collection has listed them.
 *
 * @returns false when one has gone meanwhile: the push has to bring it
 */
export async function freshen(
  bucket: Bucket,
  keys: readonly string[],
  options?: CallOptions,
): Promise<boolean> {
  if (keys.length === 0) return true;
  const lists = await readGcLists(bucket, options);
  for (const key of keys) {
    const seen = lists
      .map(({ candidates }) => candidates.get(key))
      .filter((version) => version !== undefined);
    if (seen.length === 0) continue;
    const entry = await bucket.head(key, options);
    if (entry === undefined) return false;
    if (seen.includes(versionOf(entry)) && !(await rewrite(bucket, key, options))) return false;
  }
  return true;
}

/** The same bytes once more: S3 refuses to copy a key onto itself. */
async function rewrite(bucket: Bucket, key: string, options?: CallOptions): Promise<boolean> {
  const body = await bucket.read(key, options);
  if (body === undefined) return false;
  const { stagingDirectory: directory } = bucket;
  await using bytes = await spool(body.content, {
    ...options,
    ...(directory !== undefined && { directory }),
  });
  const { sha256 } = body.entry;
  await bucket.write(key, bytes, { ...options, ...(sha256 !== undefined && { sha256 }) });
  return true;
}
