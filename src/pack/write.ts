/** Writing a pack as a stream: whole objects, no deltas, with the entries of its index (gitformat-pack(5)). */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { OdbError } from "../errors.js";
import { type Content, verified } from "../object/content.js";
import { deflated } from "../object/deflate.js";
import type { HashAlgorithm } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { formatEntryHeader } from "./entry.js";
import type { IndexEntry } from "./idx.js";

/** An object for a pack: its content is verified while it is written. */
export interface PackInput {
  readonly info: ObjectInfo;
  readonly content: Content;
}

/** A pack being written. */
export interface PackOutput {
  /** The pack's bytes. */
  readonly content: Content;
  /** What its index says: whole once the content has ended. */
  readonly entries: readonly IndexEntry[];
  /** The trailer in hex: known once the content has ended. */
  checksum(): string;
}

/**
 * Writes objects into a pack.
 *
 * @param count how many there will be: it stands in the header, before them
 * @throws OdbError integrity, from the content, when an object is not what its info says, or there are not
 *   `count` of them
 */
export function writePack(count: number, objects: AsyncIterable<PackInput>, hash: HashAlgorithm): PackOutput {
  const digest = createHash(hash);
  const entries: IndexEntry[] = [];
  let offset = 0;
  let crc = 0;
  let checksum = "";
  const pass = (bytes: Uint8Array) => {
    digest.update(bytes);
    crc = crc32(bytes, crc);
    offset += bytes.length;
    return bytes;
  };
  async function* content(): Content {
    yield pass(packHeader(count));
    for await (const { info, content } of objects) {
      const start = offset;
      crc = 0;
      yield pass(formatEntryHeader(info.type, info.size));
      for await (const chunk of deflated([], verified(content, info))) yield pass(chunk);
      entries.push({ oid: info.oid, crc32: crc, offset: start });
    }
    if (entries.length !== count) {
      throw new OdbError("integrity", `a pack of ${count} objects was given ${entries.length}`);
    }
    const trailer = digest.digest();
    checksum = trailer.toString("hex");
    yield trailer;
  }
  return { content: content(), entries, checksum: () => checksum };
}

function packHeader(count: number): Buffer {
  const header = Buffer.from("PACK\0\0\0\u0002\0\0\0\0", "latin1");
  header.writeUInt32BE(count, 8);
  return header;
}
