/** The first pass over a pack: every whole object is hashed as it goes by, every delta is noted for later. */

import { type Content, objectHash } from "../object/content.js";
import { type HashAlgorithm, type ObjectId, parseObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { type PackEntry, readPack } from "./parse.js";

/** An entry as the first pass leaves it. */
export interface ScannedEntry {
  readonly offset: number;
  readonly crc32: number;
  readonly type: PackEntry["type"];
  /** Absent for a delta: {@link resolveIndex} finds it. */
  readonly oid?: ObjectId;
  readonly baseOffset?: number;
  readonly baseId?: ObjectId;
  /** The delta itself, where it was small and there was room. */
  readonly delta?: Buffer;
}

/** A pack that has gone by, its trailer checked. */
export interface ScannedPack {
  readonly entries: readonly ScannedEntry[];
  /** The trailer in hex. */
  readonly checksum: string;
}

/** A delta above this size is read from the pack again when its turn comes. */
const KEPT_DELTA = 64 * 1024;

/**
 * Reads a pack once.
 *
 * @param deltaMemory in bytes: small deltas are kept up to this much in all, so that a pack in a bucket need not
 *   be asked for each of them
 * @throws OdbError integrity
 */
export async function scanPack(
  content: Content,
  hash: HashAlgorithm,
  what: string,
  deltaMemory = 32 * 1024 * 1024,
): Promise<ScannedPack> {
  const pack = await readPack(content, hash, what);
  const scanned: Note[] = [];
  let room = deltaMemory;
  for await (const entry of pack.entries) {
    // Not the entry itself: its content would be kept with it, a kilobyte each.
    const { content: _, ...note } = entry;
    if (entry.type !== "ofs-delta" && entry.type !== "ref-delta") {
      scanned.push({ ...note, oid: await hashContent(entry.type, entry.size, entry.content, hash) });
    } else if (entry.size <= Math.min(room, KEPT_DELTA)) {
      room -= entry.size;
      scanned.push({ ...note, delta: await gather(entry.content) });
    } else {
      scanned.push(note);
    }
  }
  return { entries: scanned.map(toScanned), checksum: pack.checksum() };
}

/** The id of streamed content of a known size. */
export async function hashContent(
  type: ObjectType,
  size: number,
  content: Content,
  hash: HashAlgorithm,
): Promise<ObjectId> {
  const digest = objectHash(hash, type, size);
  for await (const chunk of content) digest.update(chunk);
  return parseObjectId(digest.digest("hex"));
}

async function gather(content: Content): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

type Note = Omit<PackEntry, "content"> & { readonly oid?: ObjectId; readonly delta?: Buffer };

/** The CRC-32 of an entry is known only now that the next one has been read. */
function toScanned({ size: _, packed, ...note }: Note): ScannedEntry {
  return { ...note, crc32: packed.crc32 };
}
