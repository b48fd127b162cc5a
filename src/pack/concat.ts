/** Packs that share no object, put one behind the other: offset deltas are relative, so no entry changes. */

import { createHash } from "node:crypto";
import type { Content } from "../object/content.js";
import { type HashAlgorithm, hexLength } from "../object/id.js";
import { INDEX_HEAD } from "./idx.js";

/**
 * Whether an object may be in two of the packs: by the first 48 bits of its name, of which a chance collision in a
 * million objects is one in 500.
 *
 * @param indexes the files of version 2, whole
 */
export function mayShareObjects(indexes: readonly Uint8Array[], hash: HashAlgorithm): boolean {
  const width = hexLength[hash] / 2;
  const names = new Float64Array(indexes.reduce((sum, bytes) => sum + indexCount(bytes), 0));
  let at = 0;
  for (const bytes of indexes) {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const count = indexCount(bytes);
    for (let n = 0; n < count; n++) names[at++] = view.readUIntBE(INDEX_HEAD + n * width, 6);
  }
  names.sort();
  return names.some((name, n) => n > 0 && name === names[n - 1]);
}

/** How many objects an index of version 2 names. */
export function indexCount(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32BE(INDEX_HEAD - 4);
}

/**
 * One pack of many.
 *
 * @param count the entries of all of them
 * @param bodies what is between header and trailer of each, in order
 */
export async function* concatPacks(count: number, hash: HashAlgorithm, bodies: Content): Content {
  const digest = createHash(hash);
  const head = packHeader(count);
  digest.update(head);
  yield head;
  for await (const chunk of bodies) {
    digest.update(chunk);
    yield chunk;
  }
  yield digest.digest();
}

/** Magic, version 2 and the number of entries (gitformat-pack(5)). */
export function packHeader(count: number): Buffer {
  const header = Buffer.from("PACK\0\0\0\u0002\0\0\0\0", "latin1");
  header.writeUInt32BE(count, 8);
  return header;
}

/** Bytes before the first entry. */
export const PACK_HEAD = 12;
