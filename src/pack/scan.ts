/**
 * The first pass over a pack: every object is hashed as it goes by; so is what a delta makes of a base that is still in
 * memory, as it mostly is, for git puts them close together. The other deltas are noted for later.
 */

import type { Content } from "../object/content.js";
import type { HashAlgorithm } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { DeferredDeltas, keyOfNumber } from "./deferred.js";
import { applyDeltaAtOnce, type CopiedRun, deltaHead } from "./delta-at-once.js";
import type { EntryHeader } from "./entry.js";
import { type HeldObject, ObjectCache } from "./object-cache.js";
import { bodyDigest, bodyWhole, objectDigest } from "./object-digest.js";
import { ObjectTable, referrers } from "./object-table.js";
import { type PackEntry, PackReader } from "./parse.js";

/**
 * Sees every commit, tree and tag, and every blob of at most {@link SMALL_BLOB} bytes, whole, once its id is known; the
 * content is valid until it returns. For whoever checks that nothing is missing. `number` is the object's in the table.
 * `likeness` may be told of a tree that was made of one that was seen before.
 */
export type ObjectObserver = (
  type: ObjectType,
  number: number,
  content: Buffer,
  table: ObjectTable,
  likeness?: Likeness,
) => void;

/** What a tree has in common with another one, which was seen before. */
export interface Likeness {
  readonly base: Buffer;
  readonly copied: readonly CopiedRun[];
}

/** How a pack is read. */
export interface ScanOptions {
  /** In bytes: objects held for the deltas that stand on them. Default 32 MiB. */
  readonly memory?: number;
  /** In bytes: deltas that have to wait, held so that the pack need not be asked for each. Default 16 MiB. */
  readonly deltaMemory?: number;
  readonly onObject?: ObjectObserver | undefined;
}

/** A pack that has gone by, its trailer checked. */
export interface ScannedPack {
  /** The objects that are known. */
  readonly table: ObjectTable;
  /** Those that are not yet. */
  readonly deferred: DeferredDeltas;
  /** What was in memory at the end. */
  readonly cache: ObjectCache;
  /** Entries. */
  readonly count: number;
  /** The trailer in hex. */
  readonly checksum: string;
}

/** Blobs up to this size, in bytes, are observed: the pointers of git-lfs among them. */
export const SMALL_BLOB = 1024;

/** A tree or commit is held in memory for its observer: git itself could not work with larger ones. */
export const OBSERVED_LIMIT = 256 * 1024 * 1024;

const MiB = 1024 * 1024;

/** What a Buffer costs beside its bytes. */
const DELTA_OVERHEAD = 256;

/**
 * Reads a pack once.
 *
 * @param what names the pack in errors
 * @throws OdbError integrity
 */
export async function scanPack(
  content: Content,
  hash: HashAlgorithm,
  what: string,
  options: ScanOptions = {},
): Promise<ScannedPack> {
  const pack = await PackReader.open(content, hash, what);
  try {
    const scanner = new Scanner(hash, options);
    for (let index = 0; index < pack.count; index++) {
      const entry = await pack.next();
      const { type } = entry.header;
      if (type === "ofs-delta" || type === "ref-delta") await scanner.delta(entry, pack);
      else await scanner.object(type, entry, pack);
    }
    const { table, deferred, cache } = scanner;
    return { table, deferred, cache, count: pack.count, checksum: await pack.finish() };
  } finally {
    await pack.close();
  }
}

class Scanner {
  readonly table: ObjectTable;
  readonly deferred = new DeferredDeltas();
  readonly cache: ObjectCache;
  readonly #onObject: ObjectObserver | undefined;
  /** What deltas make, one after the other. */
  readonly #made = Buffer.allocUnsafeSlow(256 * 1024);
  #room: number;

  constructor(hash: HashAlgorithm, { memory = 32 * MiB, deltaMemory = 16 * MiB, onObject }: ScanOptions) {
    this.table = new ObjectTable(hash);
    this.cache = new ObjectCache(memory);
    this.#room = deltaMemory;
    this.#onObject = onObject;
  }

  async object(type: ObjectType, { header, offset, what, data }: PackEntry, pack: PackReader): Promise<void> {
    if (Buffer.isBuffer(data)) return this.#settle({ type, content: data }, offset, pack.crc32);
    try {
      if (type !== "blob" || header.size <= this.cache.largest) {
        const content = await bodyWhole(data, OBSERVED_LIMIT, what);
        this.#settle({ type, content }, offset, pack.crc32);
      } else {
        const oid = await bodyDigest(this.table.hash, type, header.size, data);
        this.table.place(oid, offset, pack.crc32);
      }
    } finally {
      data.close();
    }
  }

  async delta({ header, offset, what, data }: PackEntry, pack: PackReader): Promise<void> {
    const whole = Buffer.isBuffer(data) ? data : await this.#wholeDelta(header, data, what);
    const base = this.#baseOf(header);
    const head = base && whole && deltaHead(whole, what);
    if (base !== undefined && whole !== undefined && head !== undefined && head.size <= this.cache.largest) {
      const copied: CopiedRun[] | undefined = base.type === "tree" ? [] : undefined;
      const content = applyDeltaAtOnce(base.content, whole, head, what, this.#made, copied);
      const likeness = copied && { base: base.content, copied };
      return this.#settle({ type: base.type, content }, offset, pack.crc32, likeness);
    }
    const cost = (whole?.length ?? 0) + DELTA_OVERHEAD;
    const kept = whole !== undefined && cost <= this.#room ? whole : undefined;
    if (kept !== undefined) this.#room -= cost;
    this.deferred.add(offset, pack.crc32, this.#keyOf(header), kept);
  }

  /** @returns undefined for one that is too large to be held: it has been read all the same */
  async #wholeDelta(
    { size }: EntryHeader,
    data: Exclude<PackEntry["data"], Buffer>,
    what: string,
  ): Promise<Buffer | undefined> {
    try {
      if (size <= this.cache.largest) return await bodyWhole(data, size, what);
      while ((await data.next()) !== undefined);
      return undefined;
    } finally {
      data.close();
    }
  }

  #baseOf({ baseOffset, baseId }: EntryHeader): HeldObject | undefined {
    if (baseOffset !== undefined) return this.cache.get(baseOffset);
    const place = baseId && this.table.placeOf(this.#referred(baseId));
    return place === undefined ? undefined : this.cache.get(place);
  }

  #keyOf({ baseOffset, baseId }: EntryHeader): number {
    return baseOffset ?? keyOfNumber(this.#referred(baseId ?? ""));
  }

  #referred(oid: string): number {
    return this.table.refer(Buffer.from(oid, "hex"), 0, referrers.delta);
  }

  #settle(object: HeldObject, offset: number, crc32: number, likeness?: Likeness): void {
    const { type, content } = object;
    const number = this.table.place(objectDigest(this.table.hash, type, content), offset, crc32);
    if (type !== "blob" || content.length <= SMALL_BLOB) {
      this.#onObject?.(type, number, content, this.table, likeness);
    }
    this.cache.put(offset, object);
  }
}
