/** A git repository in a bucket: its settings and its blobs, whatever the kind of bucket. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { looseKey } from "../store/loose-layout.js";
import { openStoreOn } from "../store/open.js";
import { rawKey } from "../store/raw-layout.js";
import {
  type BucketSettings,
  initBucket,
  isBareRepository,
  type Layout,
  readSettings,
} from "../store/settings.js";
import type { ObjectStore } from "../store/store.js";

/** Where a blob that is left out of the packs lies. */
export function objectKey({ layout }: Pick<BucketSettings, "layout">, oid: ObjectId): string {
  return layout === "raw" ? rawKey(oid) : looseKey(oid);
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
