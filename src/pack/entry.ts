/** The header of a pack's entry: its type and size, and the base of a delta (gitformat-pack(5)). */

import { OdbError } from "../errors.js";
import { type HashAlgorithm, hexLength, type ObjectId, parseObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import type { ByteReader } from "./byte-reader.js";

/** What an entry holds: an object, or a delta against another one. `size` is that of the inflated data. */
export interface EntryHeader {
  readonly type: ObjectType | "ofs-delta" | "ref-delta";
  readonly size: number;
  /** For `ofs-delta`: where in the same pack the base begins. */
  readonly baseOffset?: number;
  /** For `ref-delta`. */
  readonly baseId?: ObjectId;
}

const types = [undefined, "commit", "tree", "blob", "tag", undefined, "ofs-delta", "ref-delta"] as const;

/** A size or an offset in a header has at most this many bytes: 2^53 fits. */
const VARINT_LIMIT = 9;

/** No header has more bytes: type and size, and a distance or an id. */
const HEADER_MOST = 64;

/**
 * Reads the header at the reader's position.
 *
 * @throws OdbError integrity
 */
export async function readEntryHeader(
  reader: ByteReader,
  hash: HashAlgorithm,
  what: string,
): Promise<EntryHeader> {
  const { header, length } = await peekEntryHeader(reader, hash, what);
  reader.skip(length);
  return header;
}

/** As {@link readEntryHeader}, but does not consume it. @returns its length in bytes, too */
export async function peekEntryHeader(
  reader: ByteReader,
  hash: HashAlgorithm,
  what: string,
): Promise<{ header: EntryHeader; length: number }> {
  if (reader.buffered.length < HEADER_MOST) await reader.fill(HEADER_MOST);
  const bytes = new Bytes(reader.buffered, reader);
  const { code, size } = readTypeAndSize(bytes, what);
  const type = types[code];
  if (type === undefined) throw new OdbError("integrity", `${what}: entry of unknown type ${code}`);
  if (type === "ref-delta") {
    const baseId = parseObjectId(bytes.hex(hexLength[hash] / 2));
    return { header: { type, size, baseId }, length: bytes.at };
  }
  if (type !== "ofs-delta") return { header: { type, size }, length: bytes.at };
  const distance = readDistance(bytes, what);
  if (distance <= 0 || distance > reader.position) {
    throw new OdbError("integrity", `${what}: the base of the delta lies outside of the pack`);
  }
  return { header: { type, size, baseOffset: reader.position - distance }, length: bytes.at };
}

/** What is buffered, byte by byte: a header that is longer than that is cut off. */
class Bytes {
  at = 0;
  readonly #bytes: Buffer;
  readonly #reader: ByteReader;

  constructor(bytes: Buffer, reader: ByteReader) {
    this.#bytes = bytes;
    this.#reader = reader;
  }

  next(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw this.#reader.truncated();
    return byte;
  }

  hex(length: number): string {
    this.at += length;
    if (this.at > this.#bytes.length) throw this.#reader.truncated();
    return this.#bytes.toString("hex", this.at - length, this.at);
  }
}

/** The header of an object that is no delta. */
export function formatEntryHeader(type: ObjectType, size: number): Buffer {
  const bytes: number[] = [];
  let byte = (types.indexOf(type) << 4) | (size % 16);
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(byte | 0x80);
    byte = rest % 128;
  }
  bytes.push(byte);
  return Buffer.from(bytes);
}

function readTypeAndSize(bytes: Bytes, what: string): { code: number; size: number } {
  let byte = bytes.next();
  const code = (byte >> 4) & 7;
  let size = byte & 15;
  let scale = 16;
  for (let count = 0; byte & 0x80; count++, scale *= 128) {
    byte = bytes.next();
    size += (byte & 0x7f) * scale;
    if (count > VARINT_LIMIT || size > Number.MAX_SAFE_INTEGER) throw tooLarge(what);
  }
  return { code, size };
}

function readDistance(bytes: Bytes, what: string): number {
  let byte = bytes.next();
  let distance = byte & 0x7f;
  for (let count = 0; byte & 0x80; count++) {
    byte = bytes.next();
    distance = (distance + 1) * 128 + (byte & 0x7f);
    if (count > VARINT_LIMIT || distance > Number.MAX_SAFE_INTEGER) throw tooLarge(what);
  }
  return distance;
}

function tooLarge(what: string): OdbError {
  return new OdbError("integrity", `${what}: a number in its header is too large`);
}
