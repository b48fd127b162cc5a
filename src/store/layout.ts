/** What the raw and the loose layout share: putting an object under its key, and proving what lies there. */

import { createHash } from "node:crypto";
import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Content, Source, SourceObject } from "../object/content.js";
import { algorithmOf, type HashAlgorithm, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { asRaw } from "./encoding.js";
import type { ObjectStore, StoredObject, StoreListOptions } from "./store.js";

/** Options of the two layouts. */
export interface LayoutOptions {
  /** Only ids of this algorithm are taken; any when left out. */
  readonly hash?: HashAlgorithm;
}

/**
 * Up to this size a remote key is simply written, without asking first whether it is there: that is one round
 * trip, and what stands there afterwards is right either way.
 */
const WRITE_AT_ONCE = 256 * 1024;

/** @throws OdbError invalid, when `oid` is of another algorithm than the store's */
export function checkAlgorithm(oid: ObjectId, hash: HashAlgorithm | undefined, name: string): void {
  if (hash !== undefined && algorithmOf(oid) !== hash) {
    throw new OdbError("invalid", `object ${oid} is not of ${name}, which holds ${hash} objects`);
  }
}

/**
 * Whether `key` already holds the object, proved, so that nothing need be written. A small object for a remote
 * bucket is not asked for: see WRITE_AT_ONCE.
 *
 * @param proves whether the entry that is there is the object
 */
export async function isThere(
  bucket: Bucket,
  key: string,
  object: SourceObject,
  proves: (entry: Entry) => Promise<boolean>,
  options?: CallOptions,
): Promise<boolean> {
  if (bucket.stagingDirectory === undefined && object.size <= WRITE_AT_ONCE) return false;
  const entry = await bucket.head(key, options);
  return entry !== undefined && (await proves(entry));
}

/** The SHA-256 of a source in hex: by reading it once. */
export async function sha256Of(source: Source): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of source.open()) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * Whether the store's copy of the object, read whole, is the object. Wrong bytes are `false`, a failure to
 * read them is thrown.
 */
export async function isIntact(store: ObjectStore, object: SourceObject, options?: CallOptions) {
  try {
    const stored = await store.get(object.info.oid, options);
    if (stored === undefined || !sameInfo(stored.info, object.info)) {
      await discard(stored);
      return false;
    }
    await drain(asRaw(stored));
    return true;
  } catch (error) {
    if (error instanceof OdbError && error.code === "integrity") return false;
    throw error;
  }
}

/**
 * Reads and hashes the store's copy.
 *
 * @throws OdbError integrity
 */
export async function verifyByReading(store: ObjectStore, oid: ObjectId, options?: CallOptions) {
  const stored = await store.get(oid, options);
  if (stored === undefined) return undefined;
  await drain(asRaw(stored));
  return stored.info;
}

/** `stat` for a listing: a broken object goes to `onBad` where there is one, and is left out. */
export function statOrReport(
  stat: (oid: ObjectId) => Promise<ObjectInfo | undefined>,
  options: StoreListOptions | undefined,
): (oid: ObjectId) => Promise<ObjectInfo | undefined> {
  return async (oid) => {
    try {
      return await stat(oid);
    } catch (error) {
      if (!options?.onBad || !(error instanceof OdbError) || error.code !== "integrity") throw error;
      options.onBad(oid, error);
      return undefined;
    }
  };
}

/** Lets go of content that nobody will read, so that its file or connection is freed. */
export async function discard(stored: StoredObject | undefined): Promise<void> {
  // An iterator that was never started need not run its clean-up: start it, then leave.
  if (stored !== undefined) for await (const _ of stored.content) break;
}

function sameInfo(a: ObjectInfo, b: ObjectInfo): boolean {
  return a.oid === b.oid && a.size === b.size && a.type === b.type;
}

async function drain(content: Content): Promise<void> {
  for await (const _ of content);
}
