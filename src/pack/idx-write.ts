/** Writing a pack index of version 2, byte for byte as `git index-pack` does (gitformat-pack(5)). */

import { createHash } from "node:crypto";
import { type HashAlgorithm, hexLength } from "../object/id.js";
import { INDEX_HEAD, type IndexEntry, LARGE_OFFSET } from "./idx.js";

/**
 * The index file of a pack.
 *
 * @param entries in any order, each id once
 * @param packChecksum the pack's trailer in hex
 */
export function formatIndex(
  entries: readonly IndexEntry[],
  packChecksum: string,
  hash: HashAlgorithm,
): Buffer {
  const sorted = [...entries].sort((a, b) => (a.oid < b.oid ? -1 : 1));
  const body = Buffer.concat([
    fanOut(sorted),
    Buffer.from(sorted.map(({ oid }) => oid).join(""), "hex"),
    words(sorted.map(({ crc32 }) => crc32)),
    offsets(sorted),
    Buffer.from(packChecksum, "hex"),
  ]);
  const checksum = createHash(hash)
    .update(body)
    .digest()
    .subarray(0, hexLength[hash] / 2);
  return Buffer.concat([body, checksum]);
}

/** Magic, version, and for each first byte how many names begin with it or a smaller one. */
function fanOut(sorted: readonly IndexEntry[]): Buffer {
  const head = Buffer.alloc(INDEX_HEAD);
  head.writeUInt32BE(0xff744f63, 0);
  head.writeUInt32BE(2, 4);
  let count = 0;
  for (let byte = 0; byte < 256; byte++) {
    while (firstByte(sorted[count]) <= byte) count++;
    head.writeUInt32BE(count, 8 + 4 * byte);
  }
  return head;
}

function firstByte(entry: IndexEntry | undefined): number {
  return entry === undefined ? 256 : Number.parseInt(entry.oid.slice(0, 2), 16);
}

/** The table of 32-bit offsets and, behind it, that of those which do not fit. */
function offsets(sorted: readonly IndexEntry[]): Buffer {
  const large: bigint[] = [];
  const small = sorted.map(({ offset }) => {
    if (offset < LARGE_OFFSET) return offset;
    return LARGE_OFFSET + large.push(BigInt(offset)) - 1;
  });
  const wide = Buffer.alloc(8 * large.length);
  for (const [i, offset] of large.entries()) wide.writeBigUInt64BE(offset, 8 * i);
  return Buffer.concat([words(small), wide]);
}

function words(values: readonly number[]): Buffer {
  const table = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) table.writeUInt32BE(value, 4 * i);
  return table;
}
