/** git's loose-object form: zlib of `<type> SP <size> NUL <content>` (gitformat-loose(5), object-file.c). */

import { constants, inflateSync } from "node:zlib";
import { OdbError } from "../errors.js";
import type { Content } from "./content.js";
import { deflateAtOnce, deflated } from "./deflate.js";
import { createInflater, nextSlice } from "./inflate.js";
import { isObjectType, type ObjectInfo, type ObjectType, parseSize } from "./info.js";

/** Type and size as a loose header says them. */
export type LooseHeader = Pick<ObjectInfo, "type" | "size">;

/** "commit 9007199254740991\0" is the longest header there is: 24 bytes; git itself reads at most 32. */
const HEADER_LIMIT = 32;

/** What stands before the content in the loose form, and in what is hashed. */
export function looseHeader(info: LooseHeader): Buffer {
  return Buffer.from(`${info.type} ${info.size}\0`);
}

/** The loose form of an object whose content is in memory; level 1 unless given, tiny ones are only stored. */
export function deflateLoose(type: ObjectType, content: Uint8Array, level = 1): Buffer {
  return deflateHeaded(Buffer.concat([looseHeader({ type, size: content.length }), content]), level);
}

/** As {@link deflateLoose}, of bytes that begin with the header. */
export function deflateHeaded(bytes: Uint8Array, level = 1): Buffer {
  return deflateAtOnce(bytes, level);
}

/**
 * The loose form of streamed content.
 *
 * @throws whatever `content` throws; size and hash are the caller's to check
 */
export function encodeLoose(info: LooseHeader, content: Content): Content {
  return deflated([looseHeader(info)], content);
}

/**
 * Inflates a loose object: its header, then its content. The content stops at the size in the header, and
 * throws when there is more or less of it, or anything behind it.
 *
 * @param what names the object in errors
 * @throws OdbError integrity, when it is no whole loose object
 */
export async function decodeLoose(
  loose: Content,
  what: string,
): Promise<{ header: LooseHeader; content: Content }> {
  const inflated = inflate(loose, what);
  let head = Buffer.alloc(0);
  for (;;) {
    const next = await inflated.next();
    if (next.done) throw new OdbError("integrity", `${what}: no loose object (it ends inside its header)`);
    head = Buffer.concat([head, next.value]);
    const end = head.subarray(0, HEADER_LIMIT).indexOf(0);
    if (end >= 0) {
      const header = parseLooseHeader(head.toString("latin1", 0, end), what);
      return { header, content: exactly(header.size, head.subarray(end + 1), inflated, what) };
    }
    if (head.length >= HEADER_LIMIT) {
      await inflated.return();
      throw new OdbError(
        "integrity",
        `${what}: no loose object (no header in its first ${HEADER_LIMIT} bytes)`,
      );
    }
  }
}

/** zlib's largest code tables take 280 bytes; with these the header's 24 are always among what inflates. */
export const LOOSE_HEAD = 512;

/**
 * The header out of the first {@link LOOSE_HEAD} bytes of a loose object (or all of it, when it is shorter).
 *
 * @param what names the object in errors
 * @throws OdbError integrity, when it is no loose object
 */
export function readLooseHeader(head: Uint8Array, what: string): LooseHeader {
  let inflated: Buffer;
  try {
    inflated = inflateSync(head.subarray(0, LOOSE_HEAD), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    const reason = (error as Error).message;
    throw new OdbError("integrity", `${what}: broken zlib data (${reason})`, { cause: error });
  }
  const end = inflated.subarray(0, HEADER_LIMIT).indexOf(0);
  if (end < 0) throw new OdbError("integrity", `${what}: no loose object (no header in its first bytes)`);
  return parseLooseHeader(inflated.toString("latin1", 0, end), what);
}

/**
 * Reads a loose object's header, without its NUL.
 *
 * @param what names the object in errors
 * @throws OdbError integrity
 */
export function parseLooseHeader(text: string, what: string): LooseHeader {
  const [type, size, ...rest] = text.split(" ");
  if (type === undefined || size === undefined || rest.length > 0 || !isObjectType(type)) {
    throw new OdbError("integrity", `${what}: no loose object (header ${JSON.stringify(text)})`);
  }
  return { type, size: parseSize(size) };
}

/** Inflates at the consumer's pace. */
async function* inflate(loose: Content, what: string): AsyncGenerator<Uint8Array, void, void> {
  let inflated: Uint8Array[] = [];
  let taken = 0;
  let given = 0;
  const inflater = createInflater(what, (chunk) => {
    given += chunk.length;
    inflated.push(chunk);
  });
  try {
    for await (const chunk of loose) {
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + nextSlice(taken, given));
        // zlib stops at the end of its stream and says nothing of what follows.
        if ((await inflater.feed(part)) !== part.length) {
          throw new OdbError("integrity", `${what}: bytes behind the end of its zlib data`);
        }
        at += part.length;
        taken += part.length;
        yield* inflated;
        inflated = [];
      }
    }
    await inflater.finish();
    yield* inflated;
  } finally {
    inflater.close();
  }
}

async function* exactly(
  size: number,
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array, void, void>,
  what: string,
): AsyncGenerator<Uint8Array> {
  let left = size - first.length;
  try {
    if (left >= 0 && first.length > 0) yield first;
    for (let next = await rest.next(); !next.done && left >= 0; next = await rest.next()) {
      left -= next.value.length;
      if (left >= 0) yield next.value;
    }
    if (left < 0)
      throw new OdbError("integrity", `${what}: more content than the ${size} bytes in its header`);
    if (left > 0) throw new OdbError("integrity", `${what}: ${left} of its ${size} bytes are missing`);
  } finally {
    await rest.return();
  }
}
