/** Setting bytes aside in the bucket itself, to be read again in any order, where there is to be no temporary disk. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import type { Spooled } from "../object/spool.js";
import { blockwise } from "./blocks.js";

/** Copies of a delta lie close together, mostly: blocks of this size, so many of them kept. */
const BLOCK = 1024 * 1024;
const BLOCKS = 8;

/** Writes `content` to `key`; disposal removes it. The bucket must have `writeStream`. */
export async function spoolInBucket(
  bucket: Bucket,
  key: string,
  content: Content,
  options: CallOptions,
): Promise<Spooled> {
  const size = (await bucket.writeStream?.(key, content, options)) ?? 0;
  const open = async function* (range: { start: number; end?: number } = { start: 0 }): Content {
    const body = await bucket.read(key, { ...options, range });
    if (body === undefined)
      throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was used`);
    yield* body.content;
  };
  const read = blockwise(
    async (start, end) => await collect(open({ start, end }), BLOCK),
    size,
    BLOCK,
    BLOCKS,
  );
  return {
    size,
    open,
    read,
    [Symbol.asyncDispose]: () => bucket.remove([key], options),
  };
}
