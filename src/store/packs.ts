/** The packs of a repository that lies in a bucket: a store reads them behind its own objects, and never writes any. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { collect } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { openIndex, type PackIndex, type ReadRange } from "../pack/idx.js";
import { type PackAccess, readPacked, statPacked } from "../pack/resolve.js";
import { type BucketPack, listPacks, packKey } from "./bucket-packs.js";
import { hashOfPack, type IndexCache } from "./index-cache.js";
import { checkAlgorithm, type LayoutOptions, statOrReport, verifyByReading } from "./layout.js";
import { PackGone, readIndex, readPiece } from "./pack-read.js";
import { inParallel } from "./parallel.js";
import type { ObjectStore, StoredObject } from "./store.js";

/** An index up to this size is read whole, once; of a larger one only what each look needs. */
const WHOLE_INDEX = 8 * 1024 * 1024;

/** On a miss the packs are listed anew, but not more often than this: a new pack is seen after so long. */
const REFRESH_MS = 2000;

/** Packs opened at a time. */
const OPEN_CONCURRENCY = 16;

/** Headers read at a time by `list`. */
const LIST_CONCURRENCY = 16;

/** Options of {@link withPacks}. */
export interface PacksOptions extends LayoutOptions {
  /** Where indexes are kept from one process to the next. */
  readonly indexes?: IndexCache;
}

/**
 * `store` with the packs under `objects/pack/` of the same bucket. `objects/info/alternates` is not followed: a
 * bucket never points outside of itself.
 */
export function withPacks(store: ObjectStore, bucket: Bucket, layout: PacksOptions = {}): ObjectStore {
  const packs = new PackSet(bucket, layout.indexes);
  const combined: ObjectStore = {
    name: store.name,
    takesSha256: store.takesSha256 === true,
    get stagingDirectory() {
      return store.stagingDirectory;
    },
    async stat(oid, options) {
      checkAlgorithm(oid, layout.hash, store.name);
      return (await store.stat(oid, options)) ?? (await packs.stat(oid, options));
    },
    async get(oid, options) {
      checkAlgorithm(oid, layout.hash, store.name);
      return (
        (await packs.getKnown(oid, options)) ??
        (await store.get(oid, options)) ??
        (await packs.get(oid, options))
      );
    },
    put: (object, options) => store.put(object, options),
    async verify(oid, options) {
      return (await store.verify(oid, options)) ?? (await verifyByReading(combined, oid, options));
    },
    async *list(options) {
      const seen = new Set<ObjectId>();
      for await (const info of store.list(options)) {
        seen.add(info.oid);
        yield info;
      }
      if (options?.unpacked) return;
      const stat = statOrReport((oid) => packs.stat(oid, options), options);
      yield* inParallel(packs.others(seen, options), LIST_CONCURRENCY, stat);
    },
    close: () => store.close(),
  };
  return combined;
}

interface Pack {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly index: PackIndex;
  /** As the bucket has told it; undefined when only the cache has. */
  readonly listed?: BucketPack;
}

/** The packs that are there, each index opened once. */
class PackSet {
  readonly #bucket: Bucket;
  readonly #cache: IndexCache | undefined;
  readonly #packs = new Map<string, Pack>();
  #cached: Promise<void> | undefined;
  #listedAt = Number.NEGATIVE_INFINITY;
  #listing: Promise<void> | undefined;

  constructor(bucket: Bucket, cache: IndexCache | undefined) {
    this.#bucket = bucket;
    this.#cache = cache;
  }

  async stat(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined> {
    const place = await this.#find(oid, options);
    if (place === undefined) return undefined;
    return { oid, ...(await statPacked(this.#access(place.pack, options), place.offset)) };
  }

  async get(oid: ObjectId, options?: CallOptions): Promise<StoredObject | undefined> {
    const place = await this.#find(oid, options);
    return place && (await this.#read(oid, place, options));
  }

  /** From a pack that a former process has seen, if it is still there: without a look at the bucket's packs. */
  async getKnown(oid: ObjectId, options?: CallOptions): Promise<StoredObject | undefined> {
    if (this.#cache === undefined) return undefined;
    this.#cached ??= this.#openCached(this.#cache);
    await this.#cached;
    const place = await this.#lookUp(oid);
    if (place === undefined) return undefined;
    try {
      return await this.#read(oid, place, options);
    } catch (error) {
      if (place.pack.listed !== undefined || !(error instanceof PackGone)) throw error;
      // It has been collected since, and its content is in another.
      this.#packs.delete(place.pack.name);
      this.#cache.forget(place.pack);
      return await this.getKnown(oid, options);
    }
  }

  /** Every packed object that `seen` does not name yet, each once; adds it there. */
  async *others(seen: Set<ObjectId>, options?: CallOptions): AsyncIterable<ObjectId> {
    await this.#refresh(options);
    for (const { index } of this.#packs.values()) {
      for await (const { oid } of index.entries()) {
        if (seen.has(oid)) continue;
        seen.add(oid);
        yield oid;
      }
    }
  }

  async #find(oid: ObjectId, options?: CallOptions): Promise<Place | undefined> {
    const found = await this.#lookUp(oid);
    if (found !== undefined || performance.now() - this.#listedAt < REFRESH_MS) return found;
    await this.#refresh(options);
    return await this.#lookUp(oid);
  }

  async #lookUp(oid: ObjectId): Promise<Place | undefined> {
    for (const pack of this.#packs.values()) {
      const offset = await pack.index.find(oid);
      if (offset !== undefined) return { pack, offset };
    }
    return undefined;
  }

  async #read(oid: ObjectId, { pack, offset }: Place, options?: CallOptions): Promise<StoredObject> {
    const { type, size, content } = await readPacked(this.#access(pack, options), offset);
    return { info: { oid, size, type }, encoding: "raw", content };
  }

  #access({ name, size, index }: Pack, options?: CallOptions): PackAccess {
    const key = packKey(name, "pack");
    return {
      name: `${this.#bucket.name}/${key}`,
      hash: hashOfPack({ name }),
      size,
      read: (start, end) => readPiece(this.#bucket, key, start, end, options),
      find: (oid) => index.find(oid),
    };
  }

  async #openCached(cache: IndexCache): Promise<void> {
    for (const pack of cache.packs()) {
      const found = await cache.read(pack);
      if (found !== undefined) this.#packs.set(pack.name, { ...pack, index: found.index });
    }
  }

  async #refresh(options?: CallOptions): Promise<void> {
    this.#listing ??= this.#list(options).finally(() => {
      this.#listing = undefined;
    });
    await this.#listing;
  }

  async #list(options?: CallOptions): Promise<void> {
    const packs = await listPacks(this.#bucket, options, (name) => this.#packs.get(name)?.listed);
    this.#cache?.retain(packs);
    const names = new Set(packs.map(({ name }) => name));
    for (const known of this.#packs.keys()) if (!names.has(known)) this.#packs.delete(known);
    async function* each(unknown: readonly BucketPack[]) {
      yield* unknown;
    }
    const unknown = packs.filter(({ name }) => !this.#packs.has(name));
    const open = (listed: BucketPack) => openPack(this.#bucket, listed, this.#cache, options);
    for await (const pack of inParallel(each(unknown), OPEN_CONCURRENCY, open)) {
      this.#packs.set(pack.name, pack);
    }
    this.#listedAt = performance.now();
  }
}

interface Place {
  readonly pack: Pack;
  readonly offset: number;
}

/** Its index comes from the cache or from the bucket. @returns undefined when it has gone since it was listed */
async function openPack(
  bucket: Bucket,
  listed: BucketPack,
  cache: IndexCache | undefined,
  options?: CallOptions,
): Promise<Pack | undefined> {
  try {
    return { ...listed, listed, index: await openPackIndex(bucket, listed, cache, options) };
  } catch (error) {
    if (error instanceof PackGone) return undefined;
    throw error;
  }
}

async function openPackIndex(
  bucket: Bucket,
  pack: BucketPack,
  cache: IndexCache | undefined,
  options?: CallOptions,
): Promise<PackIndex> {
  if (pack.indexSize <= WHOLE_INDEX) return (await readIndex(bucket, pack, cache, options)).index;
  const key = packKey(pack.name, "idx");
  const read: ReadRange = async (start, end) => {
    return await collect(await readPiece(bucket, key, start, end, options), end - start);
  };
  return await openIndex(read, pack.indexSize, hashOfPack(pack), `${bucket.name}/${key}`);
}
