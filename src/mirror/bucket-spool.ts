/** Setting bytes aside in the bucket itself, to be read again in any order, where there is to be no temporary disk. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import type { Spooled } from "../object/spool.js";

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
  const cache = new Map<number, Promise<Buffer>>();
  const block = (number: number) => {
    const start = number * BLOCK;
    const found = cache.get(number) ?? collect(open({ start, end: Math.min(size, start + BLOCK) }), BLOCK);
    cache.delete(number);
    cache.set(number, found);
    for (const oldest of cache.keys()) if (cache.size > BLOCKS) cache.delete(oldest);
    return found;
  };
  return {
    size,
    open,
    async read(start, end) {
      const pieces: Buffer[] = [];
      for (let at = start; at < end; ) {
        const number = Math.floor(at / BLOCK);
        const piece = (await block(number)).subarray(at - number * BLOCK, end - number * BLOCK);
        pieces.push(piece);
        at += piece.length;
      }
      return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    },
    [Symbol.asyncDispose]: () => bucket.remove([key], options),
  };
}
