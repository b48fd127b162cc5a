/** The loose layout: git's own loose objects under `objects/<aa>/<rest>`, as any git and any web server has them. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { type Content, collect, resumed, type SourceObject, verified } from "../object/content.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { encodeLoose, LOOSE_HEAD, readLooseHeader } from "../object/loose.js";
import { spool } from "../object/spool.js";
import {
  checkAlgorithm,
  isIntact,
  isThere,
  type LayoutOptions,
  statOrReport,
  verifyByReading,
} from "./layout.js";
import { inParallel } from "./parallel.js";
import type { ObjectStore, StoredObject } from "./store.js";

/** Headers read at a time by `list`. */
const LIST_CONCURRENCY = 16;

/** `objects/<first two hex digits>/<the rest>`, git's own path of a loose object. */
export function looseKey(oid: ObjectId): string {
  return `objects/${oid.slice(0, 2)}/${oid.slice(2)}`;
}

/** The id in a key of this layout, or undefined for any other key. */
export function parseLooseKey(key: string): ObjectId | undefined {
  const [top, fan, rest, ...more] = key.split("/");
  if (top !== "objects" || fan?.length !== 2 || rest === undefined || more.length > 0) return undefined;
  const oid = fan + rest;
  return isObjectId(oid) ? oid : undefined;
}

/** A store of objects of any type on `bucket`. Closing the store closes the bucket. */
export function looseStore(bucket: Bucket, layout: LayoutOptions = {}): ObjectStore {
  const store: ObjectStore = {
    name: bucket.name,

    get stagingDirectory() {
      return bucket.stagingDirectory;
    },

    async stat(oid, options) {
      checkAlgorithm(oid, layout.hash, bucket.name);
      const body = await bucket.read(looseKey(oid), { ...options, range: { start: 0, end: LOOSE_HEAD } });
      return body && infoOf(oid, await collect(body.content, LOOSE_HEAD));
    },

    async get(oid, options): Promise<StoredObject | undefined> {
      checkAlgorithm(oid, layout.hash, bucket.name);
      const body = await bucket.read(looseKey(oid), options);
      return body && (await opened(oid, body.content));
    },

    async put(object, options) {
      checkAlgorithm(object.info.oid, layout.hash, bucket.name);
      await putLoose(bucket, store, object, options);
    },

    async verify(oid, options) {
      return await verifyByReading(store, oid, options);
    },

    async *list(options) {
      const stat = statOrReport((oid) => store.stat(oid, options), options);
      yield* inParallel(looseIds(bucket, options), LIST_CONCURRENCY, stat);
    },

    close: () => bucket.close(),
  };
  return store;
}

async function putLoose(bucket: Bucket, store: ObjectStore, object: SourceObject, options?: CallOptions) {
  const key = looseKey(object.info.oid);
  // zlib's bytes prove nothing by their size: what is there is read and hashed.
  if (await isThere(bucket, key, object, () => isIntact(store, object, options), options)) return;
  const { stagingDirectory: directory } = bucket;
  await using loose = await spool(encodeLoose(object.info, verified(object.open(), object.info)), {
    ...(directory === undefined ? {} : { directory }),
    ...(options?.signal ? { signal: options.signal } : {}),
  });
  await bucket.write(key, loose, options);
}

/** Reads as far as the header; the chunks read so far stand before the rest again. */
async function opened(oid: ObjectId, content: Content): Promise<StoredObject> {
  const rest = content[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  try {
    let size = 0;
    for (let step = await rest.next(); !step.done; step = await rest.next()) {
      held.push(step.value);
      size += step.value.length;
      if (size >= LOOSE_HEAD) break;
    }
    const head = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
    return { info: infoOf(oid, head), encoding: "loose", content: resumed(held, rest) };
  } catch (error) {
    await rest.return?.();
    throw error;
  }
}

function infoOf(oid: ObjectId, head: Uint8Array): ObjectInfo {
  return { oid, ...readLooseHeader(head, `object ${oid}`) };
}

async function* looseIds(bucket: Bucket, options: CallOptions | undefined): AsyncIterable<ObjectId> {
  for await (const { key } of bucket.list("objects/", options)) {
    const oid = parseLooseKey(key);
    if (oid !== undefined) yield oid;
  }
}
