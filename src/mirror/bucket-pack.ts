/** Packs in a bucket, read by ranges. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect, contentOf, verified } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { BaseMemory } from "../pack/base-memory.js";
import { type PackAccess, type PackedObject, readPacked } from "../pack/resolve.js";
import { blockwise } from "./blocks.js";
import type { KnownObjects, PackPlace } from "./known.js";

/** Small reads go by blocks, many of them one after the other; large ones go straight. */
const BLOCK = 256 * 1024;
const BLOCKS = 32;
const AHEAD = 4;

/** @param name for messages */
export function packAccess(
  bucket: Bucket,
  key: string,
  { size, hash, name }: { size: number; hash: HashAlgorithm; name: string },
  call: CallOptions,
): Omit<PackAccess, "find"> {
  const range = async (start: number, end: number): Promise<Content> => {
    const body = await bucket.read(key, { ...call, range: { start, end } });
    if (body !== undefined) return body.content;
    throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was read: try again`);
  };
  const block = async (start: number, end: number) => await collect(await range(start, end), BLOCK);
  const small = blockwise(block, size, BLOCK, BLOCKS, AHEAD);
  const read = async (start: number, end: number) =>
    end - start <= BLOCK ? contentOf(await small(start, end)) : await range(start, end);
  return { name, hash, size, read };
}

/** Gives an object of the mirror, which is verified as it is read, or undefined. */
export type MirrorObjects = (oid: ObjectId) => Promise<PackedObject | undefined>;

/** Objects out of the packs that the mirror's readers use. @param bases holds what deltas there stand on */
export function mirrorObjects(
  bucket: Bucket,
  known: KnownObjects,
  bases: BaseMemory,
  call: CallOptions,
): MirrorObjects {
  const packs = new Map<string, PackAccess>();
  const accessTo = ({ key, size, hash, index }: PackPlace) => {
    const name = `${bucket.name}/${key}`;
    const found = packs.get(key) ?? {
      ...packAccess(bucket, key, { size, hash, name }, call),
      find: (oid: ObjectId) => index.find(oid),
    };
    packs.set(key, found);
    return found;
  };
  return async (oid) => {
    const place = await known.find(oid);
    if (place === undefined) return undefined;
    const { type, size, content } = await readPacked(accessTo(place), place.offset, { bases });
    return { type, size, content: verified(content, { oid, type, size }) };
  };
}
