/** Pack indexes of version 2, read whole or by ranges (gitformat-pack(5)). */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import { type HashAlgorithm, hexLength, type ObjectId, parseObjectId } from "../object/id.js";

/** Where an object lies in its pack. */
export interface IndexEntry {
  readonly oid: ObjectId;
  /** Of the packed bytes. */
  readonly crc32: number;
  readonly offset: number;
}

/** Reads bytes `start` to `end` (exclusive) of a file. */
export type ReadRange = (start: number, end: number) => Promise<Uint8Array>;

/** An index from which only what is needed is read. */
export interface PackIndex {
  readonly count: number;
  /** Two or three ranged reads. @returns the offset in the pack, or undefined when it is not in it */
  find(oid: ObjectId): Promise<number | undefined>;
  /** Every entry, in order of the ids; the tables are read in pieces. */
  entries(): AsyncIterable<IndexEntry>;
}

/** Bytes before the table of names: magic, version, fan-out. */
export const INDEX_HEAD = 8 + 1024;

/** An offset with this bit is an index into the table of 64-bit offsets. */
export const LARGE_OFFSET = 0x80000000;

/** Entries read at a time by `entries`. */
const PIECE = 8192;

/**
 * Opens an index by its header and fan-out table; the rest is read on demand.
 *
 * @param size of the file in bytes
 * @throws OdbError integrity, when it is no index of version 2 or its size does not fit its count
 */
export async function openIndex(
  read: ReadRange,
  size: number,
  hash: HashAlgorithm,
  what: string,
): Promise<PackIndex> {
  const width = hexLength[hash] / 2;
  const fan = readFanOut(Buffer.from(await read(0, INDEX_HEAD)), what);
  const tables = layOut(fan(255), width, size, what);

  const table = async (start: number, from: number, to: number, each: number) => {
    const bytes = Buffer.from(await read(start + from * each, start + to * each));
    if (bytes.length !== (to - from) * each) throw damaged(what);
    return bytes;
  };
  const resolve = async (offset: number) => {
    if (offset < LARGE_OFFSET) return offset;
    const at = offset - LARGE_OFFSET;
    if (tables.large + 8 * (at + 1) > tables.end) throw damaged(what);
    return checkOffset((await table(tables.large, at, at + 1, 8)).readBigUInt64BE(0), what);
  };
  return {
    count: fan(255),
    async find(oid) {
      const wanted = Buffer.from(oid, "hex");
      const byte = wanted[0] ?? 0;
      const [from, to] = [fan(byte - 1), fan(byte)];
      if (from === to || wanted.length !== width) return undefined;
      const at = search(await table(INDEX_HEAD, from, to, width), wanted);
      if (at === undefined) return undefined;
      return await resolve((await table(tables.offsets, from + at, from + at + 1, 4)).readUInt32BE(0));
    },
    async *entries() {
      for (let from = 0; from < fan(255); from += PIECE) {
        const to = Math.min(fan(255), from + PIECE);
        const oids = await table(INDEX_HEAD, from, to, width);
        const sums = await table(tables.crcs, from, to, 4);
        const places = await table(tables.offsets, from, to, 4);
        for (let i = 0; i < to - from; i++) {
          yield {
            oid: parseObjectId(oids.toString("hex", i * width, (i + 1) * width)),
            crc32: sums.readUInt32BE(4 * i),
            offset: await resolve(places.readUInt32BE(4 * i)),
          };
        }
      }
    },
  };
}

/**
 * An index that is whole in memory, with its own checksum checked.
 *
 * @returns the index, and the checksum of the pack that it belongs to, in hex
 * @throws OdbError integrity
 */
export async function parseIndex(
  bytes: Uint8Array,
  hash: HashAlgorithm,
  what: string,
): Promise<{ index: PackIndex; packChecksum: string }> {
  const width = hexLength[hash] / 2;
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const sum = createHash(hash).update(body.subarray(0, -width)).digest();
  if (body.length < INDEX_HEAD + 2 * width || !sum.equals(body.subarray(-width))) throw damaged(what);
  const index = await openIndex(async (start, end) => body.subarray(start, end), body.length, hash, what);
  return { index, packChecksum: body.toString("hex", body.length - 2 * width, body.length - width) };
}

/** @returns how many names begin with a byte up to the one given; 0 for -1 */
function readFanOut(head: Buffer, what: string): (byte: number) => number {
  if (head.length < INDEX_HEAD || head.readUInt32BE(0) !== 0xff744f63 || head.readUInt32BE(4) !== 2) {
    throw new OdbError("integrity", `${what} is no pack index of version 2`);
  }
  const fan = (byte: number) => (byte < 0 ? 0 : head.readUInt32BE(8 + 4 * byte));
  for (let byte = 0; byte < 256; byte++) if (fan(byte) < fan(byte - 1)) throw damaged(what);
  return fan;
}

/** Where the tables begin; checked against the size of the file. */
function layOut(count: number, width: number, size: number, what: string) {
  const crcs = INDEX_HEAD + count * width;
  const offsets = crcs + count * 4;
  const large = offsets + count * 4;
  const end = size - 2 * width;
  if (end < large || (end - large) % 8 !== 0 || (end - large) / 8 > count) throw damaged(what);
  return { crcs, offsets, large, end };
}

/** The position of `wanted` in a sorted table of entries of its width. */
function search(table: Buffer, wanted: Buffer): number | undefined {
  const width = wanted.length;
  let [low, high] = [0, table.length / width];
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = wanted.compare(table, middle * width, (middle + 1) * width);
    if (order === 0) return middle;
    if (order > 0) low = middle + 1;
    else high = middle;
  }
  return undefined;
}

function checkOffset(offset: bigint, what: string): number {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(what);
  return Number(offset);
}

function damaged(what: string): OdbError {
  return new OdbError("integrity", `${what} is damaged: make it again with git index-pack`);
}
