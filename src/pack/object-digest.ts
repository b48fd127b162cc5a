/** The ids of objects as bytes: for many small ones, at half of what a running hash costs. */

import { createHash, hash as hashAtOnce } from "node:crypto";
import { OdbError } from "../errors.js";
import { objectHash } from "../object/content.js";
import type { HashAlgorithm } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import type { EntryBody } from "./body.js";

/** Up to this size, in bytes, an object is copied behind its header and hashed in one call. */
const COPIED = 16 * 1024;

const scratch = Buffer.alloc(COPIED + 64);

/** The id of an object that is in memory. */
export function objectDigest(algorithm: HashAlgorithm, type: ObjectType, content: Buffer): Buffer {
  if (content.length > COPIED) return objectHash(algorithm, type, content.length).update(content).digest();
  const start = scratch.write(`${type} ${content.length}\0`, "latin1");
  const end = start + content.copy(scratch, start);
  return hashAtOnce(algorithm, scratch.subarray(0, end), "buffer");
}

/** The id of an object as it comes. @throws OdbError integrity, when it is not of that size */
export async function bodyDigest(
  algorithm: HashAlgorithm,
  type: ObjectType,
  size: number,
  body: EntryBody,
): Promise<Buffer> {
  const digest = createHash(algorithm).update(`${type} ${size}\0`);
  for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) digest.update(chunk);
  return digest.digest();
}

/** All of a body. @throws OdbError unsupported, beyond the limit, in bytes; integrity, as the body does */
export async function bodyWhole(body: EntryBody, limit: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
    size += chunk.length;
    if (size > limit) throw new OdbError("unsupported", `${what}: a tree, commit or tag of ${size} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
