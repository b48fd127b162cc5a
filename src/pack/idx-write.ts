/** Writing a pack index of version 2, byte for byte as `git index-pack` does (gitformat-pack(5)). */

import { createHash } from "node:crypto";
import { type HashAlgorithm, hexLength } from "../object/id.js";
import { INDEX_HEAD, type IndexEntry, LARGE_OFFSET } from "./idx.js";

/** What an index says, a row for each object, in order of the ids. */
export interface IndexRows {
  readonly count: number;
  /** Copies the bytes of a row's id. */
  copyOid(row: number, target: Buffer, at: number): void;
  crc32(row: number): number;
  offset(row: number): number;
}

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
  return formatRows(
    {
      count: sorted.length,
      copyOid: (row, target, at) => void target.write(sorted[row]?.oid ?? "", at, "hex"),
      crc32: (row) => sorted[row]?.crc32 ?? 0,
      offset: (row) => sorted[row]?.offset ?? 0,
    },
    packChecksum,
    hash,
  );
}

/** As {@link formatIndex}, from rows that are sorted. */
export function formatRows(rows: IndexRows, packChecksum: string, hash: HashAlgorithm): Buffer {
  const { count } = rows;
  const width = hexLength[hash] / 2;
  const crcs = INDEX_HEAD + count * width;
  const offsets = crcs + 4 * count;
  const large = largeOffsets(rows);
  const end = offsets + 4 * count + 8 * large;
  const file = Buffer.alloc(end + 2 * width);
  for (let row = 0; row < count; row++) {
    rows.copyOid(row, file, INDEX_HEAD + row * width);
    file.writeUInt32BE(rows.crc32(row), crcs + 4 * row);
  }
  writeFanOut(file, count, width);
  writeOffsets(file, rows, offsets);
  file.write(packChecksum, end, "hex");
  createHash(hash)
    .update(file.subarray(0, end + width))
    .digest()
    .copy(file, end + width);
  return file;
}

/** Magic, version, and for each first byte how many names begin with it or a smaller one. */
function writeFanOut(file: Buffer, count: number, width: number): void {
  file.writeUInt32BE(0xff744f63, 0);
  file.writeUInt32BE(2, 4);
  let row = 0;
  for (let byte = 0; byte < 256; byte++) {
    while (row < count && (file[INDEX_HEAD + row * width] ?? 0) <= byte) row++;
    file.writeUInt32BE(row, 8 + 4 * byte);
  }
}

function largeOffsets({ count, offset }: IndexRows): number {
  let large = 0;
  for (let row = 0; row < count; row++) if (offset(row) >= LARGE_OFFSET) large++;
  return large;
}

/** The table of 32-bit offsets and, behind it, that of those which do not fit. */
function writeOffsets(file: Buffer, { count, offset }: IndexRows, start: number): void {
  let large = 0;
  for (let row = 0; row < count; row++) {
    const place = offset(row);
    const isLarge = place >= LARGE_OFFSET;
    file.writeUInt32BE(isLarge ? LARGE_OFFSET + large : place, start + 4 * row);
    if (isLarge) file.writeBigUInt64BE(BigInt(place), start + 4 * count + 8 * large++);
  }
}
