/** The data of a pack's entry: one zlib stream whose end only zlib knows. */

import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { createInflater, inflateAtOnce, nextSlice } from "../object/inflate.js";
import type { ByteReader } from "./byte-reader.js";

/** The inflated data of an entry, pulled piece by piece. */
export interface EntryBody {
  /** @returns undefined once all of it has been given and the reader stands behind it */
  next(): Promise<Uint8Array | undefined>;
  /** Frees memory when it is not read to its end. */
  close(): void;
}

/** Up to this size, in bytes, an entry is inflated by one synchronous call. */
export const AT_ONCE = 64 * 1024;

/**
 * The data that follows a header.
 *
 * @param size that the header says
 * @throws OdbError integrity, from `next`, when it is not whole zlib data of `size` bytes
 */
export function entryBody(reader: ByteReader, size: number, what: string): EntryBody {
  let streaming: EntryBody | undefined;
  let given = false;
  return {
    async next() {
      if (streaming !== undefined) return await streaming.next();
      if (given) return undefined;
      given = true;
      const whole = size <= AT_ONCE ? await inflateBuffered(reader, size, what) : undefined;
      if (whole !== undefined) return whole;
      streaming = streamingBody(reader, size, what);
      return await streaming.next();
    },
    close: () => streaming?.close(),
  };
}

/** A body as content; closing is up to who made the body. */
export async function* bodyContent(body: EntryBody): Content {
  for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) yield chunk;
}

/** @returns undefined when it is not whole within what a sound compressor needs: the stream finds out why */
async function inflateBuffered(
  reader: ByteReader,
  size: number,
  what: string,
): Promise<Uint8Array | undefined> {
  await reader.fill(mostDeflated(size));
  const whole = inflateWhole(reader.buffered, size, what);
  if (whole === undefined) return undefined;
  reader.skip(whole.consumed);
  return whole.content;
}

/** What a sound compressor makes at most of so many bytes. */
export function mostDeflated(size: number): number {
  return size + (size >> 8) + 64;
}

/**
 * The data that `bytes` begin with, by one synchronous call.
 *
 * @param room that they may lie in: for those who have done with them soon
 * @returns undefined when it is not whole there, or of another size: the stream finds out why
 */
export function inflateWhole(
  bytes: Buffer,
  size: number,
  what: string,
  room?: Buffer,
): ReturnType<typeof inflateAtOnce> | undefined {
  try {
    const inflated = inflateAtOnce(bytes, size, what, room);
    return inflated.content.length === size ? inflated : undefined;
  } catch (error) {
    if (error instanceof OdbError && error.code === "integrity") return undefined;
    throw error;
  }
}

function streamingBody(reader: ByteReader, size: number, what: string): EntryBody {
  const ready: Uint8Array[] = [];
  let fed = 0;
  let received = 0;
  let ended = false;
  const inflater = createInflater(what, (chunk) => {
    received += chunk.length;
    if (received > size) throw wrongSize(what, received, size);
    ready.push(chunk);
  });
  const feed = async () => {
    if (!(await reader.fill(1))) throw reader.truncated();
    const slice = reader.buffered.subarray(0, nextSlice(fed, received));
    const taken = await inflater.feed(slice);
    fed += taken;
    reader.skip(taken);
    if (taken === slice.length) return;
    ended = true;
    inflater.close();
    if (received !== size) throw wrongSize(what, received, size);
  };
  return {
    async next() {
      while (ready.length === 0 && !ended) await feed();
      return ready.shift();
    },
    close() {
      ended = true;
      inflater.close();
    },
  };
}

function wrongSize(what: string, found: number, size: number): OdbError {
  return new OdbError("integrity", `${what}: ${found} bytes instead of the ${size} in its header`);
}
