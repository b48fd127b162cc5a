/** zlib, as small objects, large ones and incompressible ones are each served best by it. */

import { type Duplex, Readable, type TransformOptions } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createDeflate, deflateSync, type ZlibOptions } from "node:zlib";
import type { Content } from "./content.js";

/** Up to this size one `deflateSync` is cheaper than a stream: 6-10 µs against 206 µs (Node 20). */
const SYNC_LIMIT = 64 * 1024;

/**
 * Up to this size, in bytes, content is stored as it is: zlib's set-up takes 10 µs for an object, and a file takes a
 * block of the disk however small it is.
 */
const STORED_LIMIT = 1024;

/** zlib works in chunks of this size: large ones cost less per byte. */
const CHUNK = 256 * 1024;

/** In bytes, on both sides of zlib: so that its thread need not wait for this one, nor for the reader of the result. */
const AHEAD = 4 * CHUNK;

/** zlib's `memLevel`: 256 KiB more than usual, and 7 % less time at level 1. */
const LARGEST_MEMORY = 9;

/**
 * The zlib form of `head` and then `content`. Content that a sample of its first bytes shows incompressible is
 * stored (level 0: 1.2 GB/s against 55 MB/s at level 1).
 *
 * @throws whatever `content` throws
 */
export async function* deflated(head: readonly Uint8Array[], content: Content): Content {
  const iterator = content[Symbol.asyncIterator]();
  try {
    const chunks = [...head];
    let held = 0;
    let next = await iterator.next();
    while (!next.done && held + next.value.length <= SYNC_LIMIT) {
      held += next.value.length;
      chunks.push(next.value);
      next = await iterator.next();
    }
    if (next.done) {
      yield deflateAtOnce(Buffer.concat(chunks), 1);
      return;
    }
    const sample = held > 4096 ? Buffer.concat(chunks.slice(head.length)) : next.value;
    const level = isCompressible(sample) ? 1 : 0;
    // What is no option of zlib goes to its stream (Node's manual, class Options).
    const options: ZlibOptions & TransformOptions = {
      level,
      memLevel: LARGEST_MEMORY,
      chunkSize: CHUNK,
      highWaterMark: AHEAD,
    };
    yield* throughZlib(createDeflate(options), resume(chunks, next.value, iterator));
  } finally {
    await iterator.return?.();
  }
}

/** The zlib form of bytes in memory, by one synchronous call: level 1, or 0 for what a sample shows incompressible. */
export function deflateWhole(bytes: Uint8Array): Buffer {
  return deflateAtOnce(bytes, bytes.length <= SMALL_SAMPLE || isCompressible(bytes, SMALL_SAMPLE) ? 1 : 0);
}

/** The zlib form of a few bytes, as they are, in one stored block (RFC 1950, RFC 1951 3.2.4). */
function storedZlib(bytes: Uint8Array): Buffer {
  const { length } = bytes;
  const stored = Buffer.allocUnsafe(length + 11);
  // 32 KiB window, level 0; then the last block, not compressed, its length and the complement of that.
  stored.writeUInt16BE(0x7801, 0);
  stored[2] = 1;
  stored.writeUInt16LE(length, 3);
  stored.writeUInt16LE(length ^ 0xffff, 5);
  stored.set(bytes, 7);
  stored.writeUInt32BE(adler32(bytes), length + 7);
  return stored;
}

/** Of at most 5552 bytes: more would need the remainders taken on the way. */
function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a += byte;
    b += a;
  }
  return (((b % 65521) << 16) | (a % 65521)) >>> 0;
}

/**
 * The zlib form of bytes in memory, by one synchronous call; of up to {@link STORED_LIMIT} as they are. With room for the
 * whole result in one buffer: zlib's usual 16 KiB cost a small object 3 of 9 µs.
 */
export function deflateAtOnce(bytes: Uint8Array, level: number): Buffer {
  if (bytes.length <= STORED_LIMIT) return storedZlib(bytes);
  const room = bytes.length + (bytes.length >> 8) + 64;
  return deflateSync(bytes, { level, chunkSize: Math.min(CHUNK, room) });
}

/** Feeds `input` to a zlib stream and yields what comes out; an error on either side ends both. */
async function* throughZlib(zlib: Duplex, input: Content): AsyncGenerator<Uint8Array, void, void> {
  const feeding = pipeline(Readable.from(input, { objectMode: false, highWaterMark: CHUNK }), zlib);
  // The reader below sees the same failure, as the destroyed stream's error.
  feeding.catch(() => {});
  for await (const chunk of zlib) yield chunk as Uint8Array;
}

async function* resume(head: Uint8Array[], next: Uint8Array, rest: AsyncIterator<Uint8Array>): Content {
  yield Buffer.concat(head);
  for (let step: IteratorResult<Uint8Array> = { value: next }; !step.done; step = await rest.next()) {
    yield step.value;
  }
}

/** In bytes, of the middle of what is compressed. */
const SAMPLE = 16 * 1024;

/** For one object of a batch of many: the larger sample would take a tenth of the processor's time. */
const SMALL_SAMPLE = 4 * 1024;

/** Whether level 1 saves at least a twentieth of a sample from the middle. */
function isCompressible(sample: Uint8Array, size = SAMPLE): boolean {
  const start = Math.max(0, (sample.length >> 1) - size / 2);
  const part = sample.subarray(start, start + size);
  return !isEven(part) && deflateSync(part, { level: 1 }).length < part.length * 0.95;
}

/**
 * Whether every byte is about as frequent as any other, as in random and in compressed data: to ask zlib takes ten times
 * as long. Counters and the like are more even than chance.
 */
function isEven(part: Uint8Array): boolean {
  if (part.length < 2048) return false;
  const counts = new Uint16Array(256);
  for (const byte of part) counts[byte] = (counts[byte] as number) + 1;
  const expected = part.length / 256;
  let squares = 0;
  for (const count of counts) squares += (count - expected) ** 2;
  // Pearson's chi-squared with 255 degrees of freedom: of a million random samples one exceeds 370, one is below 160.
  const evenness = squares / expected;
  return evenness > 150 && evenness < 400;
}
