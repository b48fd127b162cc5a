/** Inflating one zlib stream that lies in a longer run of bytes, with the place where it ends. */

import { createInflate, inflateSync } from "node:zlib";
import { OdbError } from "../errors.js";
import { type InflateEngine, inflateEngine } from "./inflate-engine.js";

/** Takes a zlib stream in pieces. One call at a time. */
export interface Inflater {
  /**
   * Feeds the next bytes; resolves when they are inflated and the sink has seen the result.
   *
   * @returns how many of the bytes belong to the stream: fewer than given once it has ended
   * @throws OdbError integrity for broken data, and whatever the sink throws
   */
  feed(chunk: Uint8Array): Promise<number>;
  /**
   * Says that nothing follows.
   *
   * @throws OdbError integrity, when the stream is not complete
   */
  finish(): Promise<void>;
  /** Frees its memory; may be called at any time, more than once. */
  close(): void;
}

/** zlib hands out pieces of this size: large ones cost less per byte. */
const CHUNK = 256 * 1024;

/** A larger slice could inflate to more than 64 MiB at once (1032 to 1). */
const LARGEST_SLICE = 64 * 1024;

/**
 * How many bytes to feed next, so that about one piece comes out: a trip to the pool costs 40 µs, and what
 * comes out of one slice is held in memory.
 *
 * @param taken bytes fed so far
 * @param given bytes that came out of them
 */
export function nextSlice(taken: number, given: number): number {
  return Math.min(LARGEST_SLICE, Math.max(2048, Math.ceil((CHUNK * (taken + 1)) / (given + 1))));
}

/**
 * An inflater on a thread of the pool, for streams that do not fit in memory.
 *
 * @param what names the object in errors
 * @param sink sees the inflated bytes in order; what it throws ends the stream
 */
export function createInflater(what: string, sink: (chunk: Uint8Array) => void): Inflater {
  const zlib = createInflate({ chunkSize: CHUNK });
  let failure: unknown;
  let ended = false;
  let wake = () => {};
  const fail = (error: unknown) => {
    failure ??= error;
    zlib.destroy();
    wake();
  };
  zlib.on("error", fail);
  zlib.on("end", () => {
    ended = true;
    wake();
  });
  zlib.on("data", (chunk: Buffer) => {
    try {
      if (failure === undefined) sink(chunk);
    } catch (error) {
      fail(error);
    }
  });
  const settled = (start: (done: () => void) => void) =>
    new Promise<void>((resolve, reject) => {
      wake = () => (failure === undefined ? resolve() : reject(inflateError(failure, what)));
      if (failure === undefined && !ended) start(() => wake());
      else wake();
    });
  return {
    async feed(chunk) {
      const before = zlib.bytesWritten;
      // zlib never calls back for bytes behind the end of its stream: "end" wakes us then.
      await settled((done) => zlib.write(chunk, done));
      return zlib.bytesWritten - before;
    },
    finish: () => settled(() => zlib.end()),
    close: () => void zlib.destroy(),
  };
}

/** Up to this limit room for all of it is made beforehand. */
const ENGINE_LIMIT = 64 * 1024;

let engine: { readonly inflate: InflateEngine | undefined } | undefined;

/**
 * Inflates the stream that `bytes` begin with, at once: for small objects, where a stream costs 200 µs.
 *
 * @param limit in bytes: inflating stops one byte past it
 * @param room of more bytes than the limit, which the content may lie in: for those who have done with it soon
 * @returns the content, and how many bytes of `bytes` it took
 * @throws OdbError integrity, when it is broken, incomplete or longer than `limit`
 */
export function inflateAtOnce(
  bytes: Uint8Array,
  limit: number,
  what: string,
  room?: Buffer,
): { content: Buffer; consumed: number } {
  engine ??= { inflate: inflateEngine() };
  if (engine.inflate !== undefined && limit <= ENGINE_LIMIT) {
    const inflated = engine.inflate(bytes, limit, room ?? Buffer.allocUnsafe(limit + 1));
    if (inflated.failure !== undefined) throw brokenData(inflated.failure, what);
    if (inflated.content.length > limit) throw tooLong(what, limit);
    return inflated;
  }
  return inflateAnew(bytes, limit, what);
}

function inflateAnew(bytes: Uint8Array, limit: number, what: string): { content: Buffer; consumed: number } {
  try {
    // `info` gives the engine, whose bytesWritten are the bytes consumed (zlib.bytesWritten in Node's manual).
    const { buffer, engine } = inflateSync(bytes, {
      info: true,
      maxOutputLength: limit + 1,
      chunkSize: Math.min(CHUNK, Math.max(64, limit + 1)),
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    if (buffer.length > limit) throw tooLong(what, limit);
    return { content: buffer, consumed: engine.bytesWritten };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLong(what, limit);
    throw inflateError(error, what);
  }
}

function tooLong(what: string, limit: number): OdbError {
  return new OdbError("integrity", `${what}: more than the ${limit} bytes announced`);
}

function inflateError(error: unknown, what: string): unknown {
  if (!(error as NodeJS.ErrnoException).code?.startsWith("Z_")) return error;
  return brokenData((error as Error).message, what, error);
}

function brokenData(why: string, what: string, cause?: unknown): OdbError {
  return new OdbError("integrity", `${what}: broken zlib data (${why})`, { cause });
}
