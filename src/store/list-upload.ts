/**
 * The list/upload dialect of the HTTP example server as an object store: our own server speaks it, and so does an
 * Apache with the two CGI scripts of the patch series (docs/http-dialect.md).
 */

import type { CallOptions } from "../bucket/bucket.js";
import type { HttpClient } from "../bucket/http-client.js";
import { httpError } from "../bucket/http-error.js";
import type { HttpRequest, HttpResponse } from "../bucket/http-exchange.js";
import { isOurs } from "../bucket/http-list.js";
import { OdbError } from "../errors.js";
import type { SourceObject } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import { isObjectType, type ObjectInfo, parseSize } from "../object/info.js";
import { checkAlgorithm, type LayoutOptions, verifyByReading } from "./layout.js";
import { parseListing } from "./listing.js";
import type { ObjectStore, StoredObject } from "./store.js";

/** Above this size it is worth a request to find out whether the object is there already. */
const ASK_FIRST = 256 * 1024;

/**
 * The store behind `<base>/list/` and `<base>/upload/`. What a server has not hashed itself is read back and
 * hashed before a put succeeds. Closing the store closes the client.
 *
 * @param base ends in `/`
 */
export function listUploadStore(client: HttpClient, base: URL, layout: LayoutOptions = {}): ObjectStore {
  const name = base.href.replace(/\/$/, "");
  /** Size and type never change for an id, so what a listing said stays true; whether it is there is asked. */
  let known: Map<ObjectId, ObjectInfo> = new Map();

  /** Told by its first answer. */
  let server: "ours" | "another" | undefined;
  const inTurn = oneAtATime<ObjectId>();

  const send = async (request: HttpRequest): Promise<HttpResponse> => {
    const response = await client.send(request);
    server ??= isOurs(response) ? "ours" : "another";
    return response;
  };

  const list = async function* (options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    const response = await send(get("list/", `list ${name}`, options));
    if (isAbsent(response)) return;
    if (response.status !== 200) throw await httpError(response, `list ${name}`);
    yield* parseListing(response.content(), `${name}/list/`);
  };

  /** Size and type from the listing, for a server that gives no more than bytes. */
  const lookUp = async (oid: ObjectId, options: CallOptions | undefined): Promise<ObjectInfo | undefined> => {
    if (!known.has(oid)) {
      const listed = new Map<ObjectId, ObjectInfo>();
      for await (const info of list(options)) listed.set(info.oid, info);
      known = listed;
    }
    return known.get(oid);
  };

  const get = (path: string, what: string, options: CallOptions = {}): HttpRequest => ({
    method: "GET",
    url: new URL(path, base),
    what,
    ...(options.signal && { signal: options.signal }),
  });

  /** HEAD of an object. @returns undefined when absent, "unsure" when the server does not do HEAD */
  const head = async (oid: ObjectId, query: string, options: CallOptions | undefined) => {
    checkAlgorithm(oid, layout.hash, name);
    const request = get(`list/?sha1=${oid}${query}`, `object ${oid} at ${name}`, options);
    const response = await send({ ...request, method: "HEAD" });
    if (isAbsent(response)) return undefined;
    if (response.status === 405 || response.status === 501) {
      response.discard();
      return "unsure";
    }
    if (response.status !== 200) throw await httpError(response, request.what);
    response.discard();
    return response;
  };

  /** @returns whether the server says that it has hashed what it took */
  const upload = async (object: SourceObject, options: CallOptions | undefined): Promise<boolean> => {
    const { oid, size, type } = object.info;
    const path = `upload/?sha1=${oid}&size=${size}&type=${type}`;
    const request = get(path, `upload object ${oid} to ${name}`, options);
    const response = await send({ ...request, method: "POST", body: object });
    if (isAbsent(response)) {
      throw new OdbError("config", `${request.what}: the server has no ${name}/upload/ (HTTP 404)`);
    }
    if (response.status < 200 || response.status > 299) throw await httpError(response, request.what);
    response.discard();
    return response.headers["x-odb-verified"] === oid;
  };

  /** An original server empties the file before it takes an upload: what is good there is never sent again. */
  const putOne = async (object: SourceObject, options: CallOptions | undefined): Promise<void> => {
    const isCheap = server === "ours" && object.size <= ASK_FIRST;
    if (!isCheap && (await isThere(store, object.info, options))) return;
    const hasHashed = await upload(object, options);
    known.set(object.info.oid, object.info);
    if (!hasHashed) await readBack(store, object.info, options);
  };

  const store: ObjectStore = {
    name,

    async stat(oid, options) {
      const response = await head(oid, "", options);
      if (response === undefined) return undefined;
      return (response !== "unsure" && infoOf(oid, response)) || lookUp(oid, options);
    },

    async get(oid, options): Promise<StoredObject | undefined> {
      checkAlgorithm(oid, layout.hash, name);
      const request = get(`list/?sha1=${oid}`, `object ${oid} at ${name}`, options);
      const response = await send(request);
      if (isAbsent(response)) return undefined;
      if (response.status !== 200) throw await httpError(response, request.what);
      const info = infoOf(oid, response) ?? (await lookUpOrDiscard(response, () => lookUp(oid, options)));
      if (info) return { info, encoding: "raw", content: response.content() };
      response.discard();
      throw new OdbError("integrity", `${request.what}: it is there, but ${name}/list/ does not name it`);
    },

    put(object, options) {
      checkAlgorithm(object.info.oid, layout.hash, name);
      return inTurn(object.info.oid, () => putOne(object, options));
    },

    async verify(oid, options) {
      const response = await head(oid, "&verify=1", options);
      if (response === undefined) return undefined;
      const info = response === "unsure" ? undefined : infoOf(oid, response);
      const hasHashed = response !== "unsure" && response.headers["x-odb-verified"] === oid;
      return info && hasHashed ? info : verifyByReading(store, oid, options);
    },

    list,

    async close() {
      client.close();
    },
  };
  return store;
}

/** Size and type as our own server says them; the original says neither. */
function infoOf(oid: ObjectId, response: HttpResponse): ObjectInfo | undefined {
  const { "x-odb-type": type, "content-length": length } = response.headers;
  if (typeof type !== "string" || !isObjectType(type) || length === undefined) return undefined;
  return { oid, type, size: parseSize(length) };
}

/** The body waits meanwhile; if the answer does not come, its connection is let go. */
async function lookUpOrDiscard<T>(response: HttpResponse, lookUp: () => Promise<T>): Promise<T> {
  try {
    return await lookUp();
  } catch (error) {
    response.discard();
    throw error;
  }
}

/** Whether the server has this object, proved. Other bytes under its id are not it. */
async function isThere(
  store: ObjectStore,
  info: ObjectInfo,
  options: CallOptions | undefined,
): Promise<boolean> {
  try {
    const found = await store.verify(info.oid, options);
    return found !== undefined && found.size === info.size && found.type === info.type;
  } catch (error) {
    if (error instanceof OdbError && error.code === "integrity") return false;
    throw error;
  }
}

/** @throws OdbError integrity, unless what a server took unchecked comes back as the object */
async function readBack(store: ObjectStore, info: ObjectInfo, options: CallOptions | undefined) {
  const found = await verifyByReading(store, info.oid, options);
  if (found !== undefined && found.size === info.size && found.type === info.type) return;
  throw new OdbError(
    "integrity",
    `object ${info.oid}: ${store.name} said that it took it, and does not give it back`,
  );
}

/** Runs what concerns the same key one after the other: an original server mixes uploads of one object. */
function oneAtATime<Key>(): <T>(key: Key, run: () => Promise<T>) => Promise<T> {
  const last = new Map<Key, Promise<unknown>>();
  return async (key, run) => {
    const turn = (last.get(key) ?? Promise.resolve()).then(run, run);
    last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (last.get(key) === turn) last.delete(key);
    }
  };
}

function isAbsent(response: HttpResponse): boolean {
  if (response.status !== 404 && response.status !== 410) return false;
  response.discard();
  return true;
}
