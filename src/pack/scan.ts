/** The first pass over a pack: every whole object is hashed as it goes by, every delta is noted for later. */

import { type Content, collect, objectHash } from "../object/content.js";
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
 * Sees every commit, tree and tag, and every blob of at most {@link SMALL_BLOB} bytes, whole, once its id is known: for
 * whoever checks that nothing is missing. Those that are no deltas come from {@link scanPack}, the others from
 * {@link resolveIndex}.
 */
export type ObjectObserver = (type: ObjectType, oid: ObjectId, content: Buffer) => void;

/** Blobs up to this size, in bytes, are observed: the pointers of git-lfs among them. */
export const SMALL_BLOB = 1024;

/** A tree or commit is held in memory for its observer: git itself could not work with larger ones. */
const OBSERVED_LIMIT = 256 * 1024 * 1024;

/** What a Buffer costs beside its bytes. */
const DELTA_OVERHEAD = 256;

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
  onObject?: ObjectObserver,
): Promise<ScannedPack> {
  const pack = await readPack(content, hash, what);
  const entries: Writable<ScannedEntry>[] = [];
  let packed: PackEntry["packed"] | undefined;
  let room = deltaMemory;
  const settleLast = () => {
    const last = entries.at(-1);
    if (last !== undefined && packed !== undefined) last.crc32 = packed.crc32;
  };
  for await (const entry of pack.entries) {
    settleLast();
    packed = entry.packed;
    // Not the entry itself: its content would be kept with it, a kilobyte each.
    const { offset, type, size, baseOffset, baseId } = entry;
    const note: Writable<ScannedEntry> = { offset, crc32: 0, type };
    if (baseOffset !== undefined) note.baseOffset = baseOffset;
    if (baseId !== undefined) note.baseId = baseId;
    if (type !== "ofs-delta" && type !== "ref-delta") {
      note.oid = await hashContent(type, size, entry.content, hash, onObject);
    } else if (size <= KEPT_DELTA && size + DELTA_OVERHEAD <= room) {
      room -= size + DELTA_OVERHEAD;
      note.delta = await gather(entry.content);
    }
    entries.push(note);
  }
  settleLast();
  return { entries, checksum: pack.checksum() };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** The id of streamed content of a known size. */
export async function hashContent(
  type: ObjectType,
  size: number,
  content: Content,
  hash: HashAlgorithm,
  onObject?: ObjectObserver,
): Promise<ObjectId> {
  const digest = objectHash(hash, type, size);
  if (onObject !== undefined && (type !== "blob" || size <= SMALL_BLOB)) {
    const whole = await collect(content, OBSERVED_LIMIT);
    const oid = parseObjectId(digest.update(whole).digest("hex"));
    onObject(type, oid, whole);
    return oid;
  }
  for await (const chunk of content) digest.update(chunk);
  return parseObjectId(digest.digest("hex"));
}

async function gather(content: Content): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
