/** Reading a pack as it comes, once, from front to back, in bounded memory (gitformat-pack(5)). */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { type HashAlgorithm, hexLength } from "../object/id.js";
import { bodyContent, entryBody } from "./body.js";
import { ByteReader } from "./byte-reader.js";
import { type EntryHeader, readEntryHeader } from "./entry.js";

/** An entry in the order of the pack. */
export interface PackEntry extends EntryHeader {
  /** Where it begins in the pack. */
  readonly offset: number;
  /** The inflated data: of the object, or of the delta. What is not read of it is skipped. */
  readonly content: Content;
  /** The CRC-32 of its bytes in the pack and where they end: known once the next entry is asked for. */
  readonly packed: { readonly crc32: number; readonly end: number };
}

/** A pack as it is being read. */
export interface PackStream {
  /** How many entries the header announces. */
  readonly count: number;
  /** Each entry once; the trailer is checked before the last step. */
  readonly entries: AsyncIterable<PackEntry>;
  /** The checksum in the trailer, in hex: known when the entries are through. */
  checksum(): string;
}

/**
 * Begins to read a pack. Its entries are not resolved: a delta is given as it is.
 *
 * @param what names the pack in errors
 * @throws OdbError integrity, here and from `entries`, for whatever is not a whole pack of version 2 or 3
 */
export async function readPack(content: Content, hash: HashAlgorithm, what: string): Promise<PackStream> {
  const digest = createHash(hash);
  let crc = 0;
  const reader = new ByteReader(content, what, (bytes) => {
    digest.update(bytes);
    crc = crc32(bytes, crc);
  });
  const count = await readHeader(reader, what);
  let checksum = "";

  async function* entries(): AsyncIterable<PackEntry> {
    try {
      for (let index = 0; index < count; index++) {
        crc = 0;
        const offset = reader.position;
        const where = `${what}, entry at ${offset}`;
        const header = await readEntryHeader(reader, hash, where);
        const body = entryBody(reader, header.size, where);
        const packed = { crc32: 0, end: 0 };
        try {
          yield { ...header, offset, content: bodyContent(body), packed };
          while ((await body.next()) !== undefined);
        } finally {
          body.close();
        }
        Object.assign(packed, { crc32: crc, end: reader.position });
      }
      checksum = await checkTrailer(reader, digest.copy().digest("hex"), hash, what);
    } finally {
      await reader.close();
    }
  }
  return { count, entries: entries(), checksum: () => checksum };
}

async function readHeader(reader: ByteReader, what: string): Promise<number> {
  const header = await reader.take(12);
  const version = header.readUInt32BE(4);
  if (header.toString("latin1", 0, 4) !== "PACK" || (version !== 2 && version !== 3)) {
    throw new OdbError("integrity", `${what} is no pack of version 2 or 3`);
  }
  return header.readUInt32BE(8);
}

async function checkTrailer(reader: ByteReader, sum: string, hash: HashAlgorithm, what: string) {
  const trailer = (await reader.take(hexLength[hash] / 2)).toString("hex");
  if (trailer !== sum) throw new OdbError("integrity", `${what}: its checksum is wrong`);
  if (await reader.fill(1)) throw new OdbError("integrity", `${what}: bytes behind its end`);
  return trailer;
}
