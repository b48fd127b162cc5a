/** The packs of a repository that lies in a bucket: a store reads them behind its own objects, and never writes any. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { openIndex, type PackIndex, type ReadRange } from "../pack/idx.js";
import { type PackAccess, readPacked, statPacked } from "../pack/resolve.js";
import { checkAlgorithm, type LayoutOptions, statOrReport, verifyByReading } from "./layout.js";
import { packNames } from "./pack-names.js";
import { inParallel } from "./parallel.js";
import type { ObjectStore } from "./store.js";

/** An index up to this size is read whole, once; of a larger one only what each look needs. */
const WHOLE_INDEX = 8 * 1024 * 1024;

/** On a miss the packs are listed anew, but not more often than this: a new pack is seen after so long. */
const REFRESH_MS = 2000;

/** Packs opened at a time: of each two requests, then its index. */
const OPEN_CONCURRENCY = 16;

/** Headers read at a time by `list`. */
const LIST_CONCURRENCY = 16;

/**
 * `store` with the packs under `objects/pack/` of the same bucket. `objects/info/alternates` is not followed: a
 * bucket never points outside of itself.
 */
export function withPacks(store: ObjectStore, bucket: Bucket, layout: LayoutOptions = {}): ObjectStore {
  const packs = new PackSet(bucket);
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
      const found = await store.get(oid, options);
      if (found !== undefined) return found;
      const place = await packs.find(oid, options);
      if (place === undefined) return undefined;
      const { type, size, content } = await readPacked(packs.access(place.pack, options), place.offset);
      return { info: { oid, size, type }, encoding: "raw", content };
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
      const stat = statOrReport((oid) => packs.stat(oid, options), options);
      yield* inParallel(packs.others(seen, options), LIST_CONCURRENCY, stat);
    },
    close: () => store.close(),
  };
  return combined;
}

interface Pack {
  readonly key: string;
  readonly hash: HashAlgorithm;
  readonly size: number;
  readonly index: PackIndex;
}

/** The packs that are there, each index opened once. */
class PackSet {
  readonly #bucket: Bucket;
  readonly #packs = new Map<string, Pack>();
  #listedAt = Number.NEGATIVE_INFINITY;
  #listing: Promise<void> | undefined;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async find(oid: ObjectId, options?: CallOptions): Promise<{ pack: Pack; offset: number } | undefined> {
    const found = await this.#lookUp(oid);
    if (found !== undefined || performance.now() - this.#listedAt < REFRESH_MS) return found;
    await this.#refresh(options);
    return await this.#lookUp(oid);
  }

  async stat(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined> {
    const place = await this.find(oid, options);
    if (place === undefined) return undefined;
    return { oid, ...(await statPacked(this.access(place.pack, options), place.offset)) };
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

  access(pack: Pack, options?: CallOptions): PackAccess {
    return {
      name: `${this.#bucket.name}/${pack.key}`,
      hash: pack.hash,
      size: pack.size,
      read: (start, end) => readRange(this.#bucket, pack.key, start, end, options),
      find: (oid) => pack.index.find(oid),
    };
  }

  async #lookUp(oid: ObjectId): Promise<{ pack: Pack; offset: number } | undefined> {
    for (const pack of this.#packs.values()) {
      const offset = await pack.index.find(oid);
      if (offset !== undefined) return { pack, offset };
    }
    return undefined;
  }

  async #refresh(options?: CallOptions): Promise<void> {
    this.#listing ??= this.#list(options).finally(() => {
      this.#listing = undefined;
    });
    await this.#listing;
  }

  async #list(options?: CallOptions): Promise<void> {
    const names = await packNames(this.#bucket, options);
    for (const known of this.#packs.keys()) if (!names.includes(known)) this.#packs.delete(known);
    const unknown = names.filter((name) => !this.#packs.has(name));
    async function* each() {
      yield* unknown;
    }
    const open = async (name: string) => ({ name, pack: await openPack(this.#bucket, name, options) });
    for await (const { name, pack } of inParallel(each(), OPEN_CONCURRENCY, open)) {
      if (pack !== undefined) this.#packs.set(name, pack);
    }
    this.#listedAt = performance.now();
  }
}

/** @returns undefined when it has gone since it was listed, or has no index (yet) */
async function openPack(bucket: Bucket, name: string, options?: CallOptions): Promise<Pack | undefined> {
  const key = `objects/pack/${name}.pack`;
  const indexKey = `objects/pack/${name}.idx`;
  const [pack, idx] = await Promise.all([bucket.head(key, options), bucket.head(indexKey, options)]);
  if (pack === undefined || idx === undefined) return undefined;
  const hash: HashAlgorithm = name.length === "pack-".length + 64 ? "sha256" : "sha1";
  const read: ReadRange = async (start, end) => {
    const piece = await readRange(bucket, indexKey, start, end, options);
    return await collect(piece, end - start);
  };
  const whole = idx.size <= WHOLE_INDEX ? await read(0, idx.size) : undefined;
  const from: ReadRange = whole === undefined ? read : async (start, end) => whole.subarray(start, end);
  const index = await openIndex(from, idx.size, hash, `${bucket.name}/${indexKey}`);
  return { key, hash, size: pack.size, index };
}

async function readRange(
  bucket: Bucket,
  key: string,
  start: number,
  end: number,
  options?: CallOptions,
): Promise<Content> {
  const body = await bucket.read(key, { ...options, range: { start, end } });
  if (body !== undefined) return body.content;
  throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was read: try again`);
}
