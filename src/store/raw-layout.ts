/** The raw layout: blobs as they are under `objects/<aa>/<oid>`, so that a listing gives exact sizes. */

import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { SourceObject } from "../object/content.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import {
  checkAlgorithm,
  isIntact,
  isThere,
  type LayoutOptions,
  sha256Of,
  verifyByReading,
} from "./layout.js";
import type { ObjectStore, StoredObject } from "./store.js";

/** `objects/<first two hex digits>/<oid>`. */
export function rawKey(oid: ObjectId): string {
  return `objects/${oid.slice(0, 2)}/${oid}`;
}

/** The id in a key of this layout, or undefined for any other key. */
export function parseRawKey(key: string): ObjectId | undefined {
  const [top, fan, oid, ...rest] = key.split("/");
  if (top !== "objects" || oid === undefined || rest.length > 0 || !isObjectId(oid)) return undefined;
  return oid.startsWith(fan ?? "-") && fan?.length === 2 ? oid : undefined;
}

/**
 * A store of blobs on `bucket`. Trees, commits and tags are refused (`unsupported`): raw bytes do not say what
 * they are. Closing the store closes the bucket.
 */
export function rawStore(bucket: Bucket, layout: LayoutOptions = {}): ObjectStore {
  const saysSha256 = bucket.recordsSha256 === true || bucket.checksSha256 === true;
  const store: ObjectStore = {
    name: bucket.name,
    takesSha256: saysSha256,

    get stagingDirectory() {
      return bucket.stagingDirectory;
    },

    async stat(oid, options) {
      checkAlgorithm(oid, layout.hash, bucket.name);
      const entry = await bucket.head(rawKey(oid), options);
      return entry && blob(oid, entry.size);
    },

    async get(oid, options): Promise<StoredObject | undefined> {
      checkAlgorithm(oid, layout.hash, bucket.name);
      const body = await bucket.read(rawKey(oid), options);
      return body && { info: blob(oid, body.entry.size), encoding: "raw", content: body.content };
    },

    async put(object, options) {
      checkAlgorithm(object.info.oid, layout.hash, bucket.name);
      checkBlob(object.info, bucket.name);
      const key = rawKey(object.info.oid);
      if (await isThere(bucket, key, object, (entry) => proves(store, object, entry, options), options))
        return;
      const sha256 = saysSha256 ? (object.sha256 ?? (await sha256Of(object))) : undefined;
      await bucket.write(key, object, { ...options, ...(sha256 === undefined ? {} : { sha256 }) });
    },

    async verify(oid, options = {}) {
      checkAlgorithm(oid, layout.hash, bucket.name);
      const { own, ...call } = options;
      if (own === undefined || !bucket.recordsSha256) return await verifyByReading(store, oid, call);
      const entry = await bucket.head(rawKey(oid), call);
      if (entry === undefined) return undefined;
      // The backend keeps checksum and content as one, and has checked on arrival that it got the bytes that were sent.
      const isRecorded = entry.size === own.size && entry.sha256 !== undefined;
      if (isRecorded && entry.sha256 === (await own.sha256())) return blob(oid, entry.size);
      return await verifyByReading(store, oid, call);
    },

    async *list(options) {
      for await (const { key, size } of bucket.list("objects/", options)) {
        const oid = parseRawKey(key);
        if (oid !== undefined) yield blob(oid, size);
      }
    },

    close: () => bucket.close(),
  };
  return store;
}

/** Proof of what is there: another size is none, the recorded checksum is one, else it is read and hashed. */
async function proves(
  store: ObjectStore,
  object: SourceObject,
  entry: Entry,
  options: CallOptions | undefined,
): Promise<boolean> {
  if (entry.size !== object.size) return false;
  if (entry.sha256 !== undefined) return entry.sha256 === (object.sha256 ?? (await sha256Of(object)));
  return await isIntact(store, object, options);
}

function blob(oid: ObjectId, size: number): ObjectInfo {
  return { oid, size, type: "blob" };
}

function checkBlob(info: ObjectInfo, name: string): void {
  if (info.type === "blob") return;
  throw new OdbError(
    "unsupported",
    `object ${info.oid} is a ${info.type}, but ${name} has the raw layout, which holds blobs only: use layout=loose`,
  );
}
