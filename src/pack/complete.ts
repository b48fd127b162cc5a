/** Making a thin pack whole: the bases that it lacks are put behind its own entries, as `git index-pack --fix-thin` does. */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { OdbError } from "../errors.js";
import { type Content, verified } from "../object/content.js";
import { deflated } from "../object/deflate.js";
import { type HashAlgorithm, hexLength } from "../object/id.js";
import { PACK_HEAD, packHeader } from "./concat.js";
import { formatEntryHeader } from "./entry.js";
import type { IndexEntry } from "./idx.js";
import type { PackInput, PackOutput } from "./write.js";

/** A thin pack that was scanned, to be read once more. */
export interface ThinPack {
  readonly name: string;
  /** Entries. */
  readonly count: number;
  /** In bytes. */
  readonly size: number;
  /** The trailer in hex. */
  readonly checksum: string;
  /** All of its bytes. */
  readonly content: Content;
}

/**
 * The same entries at the same places, and more behind them.
 *
 * @param added how many `objects` are
 * @returns what the index says of the added ones alone, among others
 * @throws OdbError integrity, from the content, when the pack is not what it was, or an object not what its info says
 */
export function completePack(
  thin: ThinPack,
  added: number,
  objects: AsyncIterable<PackInput>,
  hash: HashAlgorithm,
): PackOutput {
  const digest = createHash(hash);
  const entries: IndexEntry[] = [];
  let checksum = "";
  let offset = PACK_HEAD;
  const pass = (bytes: Uint8Array) => {
    digest.update(bytes);
    offset += bytes.length;
    return bytes;
  };
  async function* content(): Content {
    const header = packHeader(thin.count + added);
    digest.update(header);
    yield header;
    for await (const chunk of entriesOf(thin, hash)) yield pass(chunk);
    for await (const { info, content } of objects) {
      const start = offset;
      const head = formatEntryHeader(info.type, info.size);
      let crc = crc32(head);
      yield pass(head);
      for await (const chunk of deflated([], verified(content, info))) {
        crc = crc32(chunk, crc);
        yield pass(chunk);
      }
      entries.push({ oid: info.oid, crc32: crc, offset: start });
    }
    const trailer = digest.digest();
    checksum = trailer.toString("hex");
    yield trailer;
  }
  return { content: content(), entries, checksum: () => checksum };
}

/** What is between header and trailer; all of it is hashed once more. */
async function* entriesOf(thin: ThinPack, hash: HashAlgorithm): Content {
  const digest = createHash(hash);
  const end = thin.size - hexLength[hash] / 2;
  let at = 0;
  for await (const chunk of thin.content) {
    const from = Math.min(chunk.length, Math.max(0, PACK_HEAD - at));
    const to = Math.max(0, Math.min(chunk.length, end - at));
    digest.update(chunk.subarray(0, to));
    if (to > from) yield chunk.subarray(from, to);
    at += chunk.length;
  }
  if (at === thin.size && digest.digest("hex") === thin.checksum) return;
  throw new OdbError("integrity", `${thin.name}: it came back otherwise than it was written`);
}
