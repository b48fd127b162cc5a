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
  const offset = reader.position;
  const { code, size } = await readTypeAndSize(reader, what);
  const type = types[code];
  if (type === undefined) throw new OdbError("integrity", `${what}: entry of unknown type ${code}`);
  if (type === "ref-delta") {
    const baseId = parseObjectId((await reader.take(hexLength[hash] / 2)).toString("hex"));
    return { type, size, baseId };
  }
  if (type !== "ofs-delta") return { type, size };
  const distance = await readDistance(reader, what);
  if (distance <= 0 || distance > offset) {
    throw new OdbError("integrity", `${what}: the base of the delta lies outside of the pack`);
  }
  return { type, size, baseOffset: offset - distance };
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

async function readTypeAndSize(reader: ByteReader, what: string): Promise<{ code: number; size: number }> {
  let byte = await readByte(reader);
  const code = (byte >> 4) & 7;
  let size = byte & 15;
  let scale = 16;
  for (let count = 0; byte & 0x80; count++, scale *= 128) {
    byte = await readByte(reader);
    size += (byte & 0x7f) * scale;
    if (count > VARINT_LIMIT || size > Number.MAX_SAFE_INTEGER) throw tooLarge(what);
  }
  return { code, size };
}

async function readDistance(reader: ByteReader, what: string): Promise<number> {
  let byte = await readByte(reader);
  let distance = byte & 0x7f;
  for (let count = 0; byte & 0x80; count++) {
    byte = await readByte(reader);
    distance = (distance + 1) * 128 + (byte & 0x7f);
    if (count > VARINT_LIMIT || distance > Number.MAX_SAFE_INTEGER) throw tooLarge(what);
  }
  return distance;
}

async function readByte(reader: ByteReader): Promise<number> {
  if (reader.buffered.length === 0 && !(await reader.fill(1))) throw reader.truncated();
  const byte = reader.buffered[0] ?? 0;
  reader.skip(1);
  return byte;
}

function tooLarge(what: string): OdbError {
  return new OdbError("integrity", `${what}: a number in its header is too large`);
}
