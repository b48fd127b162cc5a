/** Opening the store that a bucket holds: its layout is found out, not guessed from its content. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { openBucket } from "../bucket/open.js";
import type { BucketOptions } from "../bucket/options.js";
import { type BucketLocation, parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import type { IndexCache } from "./index-cache.js";
import type { LayoutOptions } from "./layout.js";
import { looseStore } from "./loose-layout.js";
import { withPacks } from "./packs.js";
import { rawStore } from "./raw-layout.js";
import { type BucketSettings, isBareRepository, readSettings } from "./settings.js";
import type { ObjectStore } from "./store.js";
import { tieredStore, type WritePolicy } from "./tiered.js";

/** Options of {@link openStore}, handed on to each bucket. */
export interface StoreOptions extends BucketOptions, LayoutOptions, CallOptions {
  /** With several URLs: where puts go. Default `first`. */
  readonly write?: WritePolicy;
}

/**
 * Opens the store that a URL names, or several in order as one tiered store.
 *
 * @throws OdbError as {@link openStoreOn}; invalid, for a URL that is none; config, without any
 */
export async function openStore(
  urls: string | readonly string[],
  options: StoreOptions = {},
): Promise<ObjectStore> {
  const all = typeof urls === "string" ? [urls] : urls;
  const stores: ObjectStore[] = [];
  try {
    for (const url of all) stores.push(await openOne(url, options));
  } catch (error) {
    await Promise.allSettled(stores.map((store) => store.close()));
    throw error;
  }
  const [only] = stores;
  return only !== undefined && stores.length === 1 ? only : tieredStore(stores, options.write);
}

async function openOne(url: string, options: StoreOptions): Promise<ObjectStore> {
  const location = parseBucketUrl(url);
  const { layout } = location;
  if (layout === "list") return openListUpload(location, options);
  const bucket = await openBucket(url, options);
  try {
    return await openStoreOn(bucket, { ...options, ...(layout === undefined ? {} : { layout }) });
  } catch (error) {
    await bucket.close();
    throw error;
  }
}

/** The list/upload dialect stands straight on HTTP, on no bucket. */
async function openListUpload(location: BucketLocation, options: StoreOptions): Promise<ObjectStore> {
  if (location.kind !== "http") {
    throw new OdbError("invalid", `${location.name}: layout=list is of http:// and https:// URLs only`);
  }
  const [{ httpClient }, { listUploadStore }, { retriedStore }] = await Promise.all([
    import("../bucket/http-client.js"),
    import("./list-upload.js"),
    import("./retried.js"),
  ]);
  const client = httpClient(location.url, {
    credentials: options.credentials,
    idleMs: options.idleMs,
  });
  const store = listUploadStore(
    client,
    location.url,
    options.hash === undefined ? {} : { hash: options.hash },
  );
  return options.retry === false ? store : retriedStore(store, options.retry);
}

/** Options of {@link openStoreOn}. */
export interface OpenStoreOptions extends LayoutOptions, CallOptions {
  /** The `layout=` of the URL. `git-odb.json` wins over it. */
  readonly layout?: string;
  /** Where the indexes of packs are kept. Default: nowhere. */
  readonly indexes?: IndexCache;
}

/**
 * The store on an open bucket. Its layout is what `git-odb.json` says, else `layout`, else loose where an
 * ordinary bare repository lies, else raw. The packs of a repository are read too. Closing the store closes the bucket.
 *
 * @throws OdbError config, when the bucket holds objects of another hash than asked for, or its settings are of
 *   a version we do not know; invalid, for an unknown layout
 */
export async function openStoreOn(bucket: Bucket, options: OpenStoreOptions = {}): Promise<ObjectStore> {
  return await storeOn(bucket, await readSettings(bucket, options), options);
}

/** As {@link openStoreOn}, for a caller that has read the settings itself. */
export async function storeOn(
  bucket: Bucket,
  settings: BucketSettings | undefined,
  options: OpenStoreOptions = {},
): Promise<ObjectStore> {
  if (settings !== undefined && options.hash !== undefined && settings.hash !== options.hash) {
    throw new OdbError(
      "config",
      `${bucket.name} holds ${settings.hash} objects, but this repository's are ${options.hash}: use another bucket`,
    );
  }
  const hash = settings?.hash ?? options.hash;
  const inLayout: LayoutOptions = hash === undefined ? {} : { hash };
  const layout = settings?.layout ?? checkLayout(options.layout, bucket.name);
  const holdsPacks = settings
    ? settings.kind === "repository"
    : layout !== "raw" && (await isBareRepository(bucket, options));
  const store = (layout ?? (holdsPacks ? "loose" : "raw")) === "raw" ? rawStore : looseStore;
  if (!holdsPacks) return store(bucket, inLayout);
  const { indexes } = options;
  return withPacks(store(bucket, inLayout), bucket, { ...inLayout, ...(indexes && { indexes }) });
}

function checkLayout(layout: string | undefined, name: string): "raw" | "loose" | undefined {
  if (layout === undefined || layout === "raw" || layout === "loose") return layout;
  throw new OdbError("invalid", `${name}: layout=${JSON.stringify(layout)} should be raw, loose or list`);
}
