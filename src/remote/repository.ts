/** A git repository in a bucket: its settings, its packs and its blobs, whatever the kind of bucket. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { looseKey } from "../store/loose-layout.js";
import { openStoreOn } from "../store/open.js";
import { packNames } from "../store/pack-names.js";
import { inParallel } from "../store/parallel.js";
import { rawKey } from "../store/raw-layout.js";
import {
  type BucketSettings,
  initBucket,
  isBareRepository,
  type Layout,
  readSettings,
} from "../store/settings.js";
import type { ObjectStore } from "../store/store.js";

/** A pack of the bucket with its index. */
export interface BucketPack {
  /** `pack-<hex>`: without folder and extension. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Of the index, in bytes. */
  readonly indexSize: number;
  /** Blobs may have been left out of it: they are objects of the bucket of their own. */
  readonly promisor: boolean;
  /** When it was last written, by the bucket's clock, where a listing tells. */
  readonly modified?: Date;
}

/** `objects/pack/<name>.<extension>`. */
export function packKey(name: string, extension: "pack" | "idx" | "promisor"): string {
  return `objects/pack/${name}.${extension}`;
}

/** Where a blob that is left out of the packs lies. */
export function objectKey({ layout }: Pick<BucketSettings, "layout">, oid: ObjectId): string {
  return layout === "raw" ? rawKey(oid) : looseKey(oid);
}

/** Packs asked for one by one, where the bucket cannot list. */
const CONCURRENCY = 8;

/**
 * Every pack that has its index, so that it can be relied on: by one listing, else by `objects/info/packs`.
 *
 * @throws OdbError as the bucket does
 */
export async function listPacks(bucket: Bucket, options?: CallOptions): Promise<BucketPack[]> {
  try {
    return await listed(bucket, options);
  } catch (error) {
    if (!(error instanceof OdbError) || error.code !== "unsupported") throw error;
    return await asked(bucket, options);
  }
}

/** What a push needs of the repository it goes to. */
export interface Destination {
  readonly hash: HashAlgorithm;
  /** For a bucket that is not initialised yet. Default raw. */
  readonly layout?: Layout;
}

/**
 * Looks whether a repository of this hash can be pushed here; nothing is written.
 *
 * @returns its settings, undefined when there is nothing yet
 * @throws OdbError config, when something else is there
 */
export async function checkDestination(
  bucket: Bucket,
  wanted: Destination,
  options?: CallOptions,
): Promise<BucketSettings | undefined> {
  const settings = await readSettings(bucket, options);
  if (settings === undefined) {
    if (!(await isBareRepository(bucket, options))) return undefined;
    throw new OdbError(
      "config",
      `${bucket.name} is an ordinary git repository: push to its path, without odb::`,
    );
  }
  if (settings.kind !== "repository") {
    throw new OdbError(
      "config",
      `${bucket.name} is a store of objects, no repository: push to another prefix`,
    );
  }
  if (settings.hash === wanted.hash) return settings;
  throw new OdbError(
    "config",
    `${bucket.name} is a ${settings.hash} repository, but this one is ${wanted.hash}: push to another prefix`,
  );
}

/** Makes the bucket a repository unless it is one. @throws OdbError as {@link checkDestination}; conflict */
export async function initRepository(
  bucket: Bucket,
  wanted: Destination,
  options?: CallOptions,
): Promise<BucketSettings> {
  await bucket.create?.(options);
  const settings = await checkDestination(bucket, wanted, options);
  if (settings !== undefined) return settings;
  const made = { layout: wanted.layout ?? "raw", hash: wanted.hash, kind: "repository" } as const;
  await initBucket(bucket, made, options);
  return made;
}

/** Opens what holds the blobs that lie outside of packs; its `stat` and `get` find packed objects too. */
export function openObjects(
  bucket: Bucket,
  settings: BucketSettings,
  options?: CallOptions,
): Promise<ObjectStore> {
  return openStoreOn(bucket, { ...options, hash: settings.hash, layout: settings.layout });
}

async function listed(bucket: Bucket, options?: CallOptions): Promise<BucketPack[]> {
  const files = new Map<string, { size: number; modified?: Date | undefined }>();
  for await (const { key, size, modified } of bucket.list("objects/pack/", options)) {
    files.set(key, { size, modified });
  }
  const packs: BucketPack[] = [];
  for (const [key, { size, modified }] of files) {
    const name = /^objects\/pack\/(pack-(?:[0-9a-f]{40}|[0-9a-f]{64}))\.pack$/.exec(key)?.[1];
    const index = name && files.get(packKey(name, "idx"));
    if (!name || !index) continue;
    const promisor = files.has(packKey(name, "promisor"));
    packs.push({ name, size, indexSize: index.size, promisor, ...(modified && { modified }) });
  }
  return packs;
}

async function asked(bucket: Bucket, options?: CallOptions): Promise<BucketPack[]> {
  async function* names() {
    yield* await packNames(bucket, options);
  }
  const look = async (name: string): Promise<BucketPack | undefined> => {
    const [pack, idx, mark] = await Promise.all(
      (["pack", "idx", "promisor"] as const).map((part) => bucket.head(packKey(name, part), options)),
    );
    if (!pack || !idx) return undefined;
    const modified = pack.modified && { modified: pack.modified };
    return { name, size: pack.size, indexSize: idx.size, promisor: mark !== undefined, ...modified };
  };
  const packs: BucketPack[] = [];
  for await (const pack of inParallel(names(), CONCURRENCY, look)) packs.push(pack);
  return packs;
}
