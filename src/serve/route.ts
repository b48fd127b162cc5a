/** From a request to the part of a dialect that answers it, and what may be done at all. */

import type { Bucket } from "../bucket/bucket.js";
import { checkKey, checkPrefix } from "../bucket/keys.js";
import { OdbError } from "../errors.js";
import { type Answer, methodNotAllowed, parsing, textAnswer } from "./answer.js";
import { listKeys, readKey } from "./bucket-read.js";
import { copyKey, removeKey, writeKey } from "./bucket-write.js";
import type { Exchange } from "./exchange.js";
import type { FolderStores } from "./folder-stores.js";
import { isLfsBatch, lfsBatch } from "./lfs.js";
import { listOrGet, removeObject, upload } from "./object-dialect.js";

/** What is served, and what of it may be changed. */
export interface Served {
  readonly bucket: Bucket;
  /** The objects in the bucket and in its folders. */
  readonly objects: FolderStores;
  readonly readOnly: boolean;
  readonly allowDelete: boolean;
  /** Of one body, in bytes. */
  readonly maxSize: number;
  /** By which clients reach the bucket, for links in answers; known once the server listens. */
  baseUrl(): string;
}

/** Answers one request that passed the guard. */
export async function route(served: Served, exchange: Exchange): Promise<Answer> {
  const { path, query } = exchange.target;
  const asked = objectsAsked(exchange);
  if (asked !== undefined) {
    const folder = parsing(() => folderOf(asked.path));
    if ("refusal" in folder) return folder.refusal;
    return (asked.word === "list" ? routeList : routeUpload)(served, folder.value, exchange);
  }
  if (isLfsBatch(path) && exchange.request.method === "POST") {
    return lfsBatch(served.bucket, served.baseUrl(), exchange);
  }
  if (path === "/" || (path.endsWith("/") && (query.has("list") || query.has("copy")))) {
    const folder = parsing(() => folderOf(path));
    return "refusal" in folder ? folder.refusal : routeFolder(served, folder.value, exchange);
  }
  const key = parsing(() => keyOf(path));
  return "refusal" in key ? key.refusal : routeKey(served, key.value, exchange);
}

/**
 * The list/upload dialect of a folder, if that is what is asked for. `?list` and `?copy` below a folder are of the bucket
 * dialect: a folder may be called `list`.
 */
function objectsAsked({ target }: Exchange): { path: string; word: string } | undefined {
  const [, path, word] = /^(.*\/)(list|upload)\/$/s.exec(target.path) ?? [];
  if (path === undefined || word === undefined) return undefined;
  const isBucket = path !== "/" && (target.query.has("list") || target.query.has("copy"));
  return isBucket ? undefined : { path, word };
}

async function routeKey(served: Served, key: string, exchange: Exchange): Promise<Answer> {
  const { bucket, maxSize } = served;
  switch (exchange.request.method) {
    case "GET":
    case "HEAD":
      return readKey(bucket, key, exchange);
    case "PUT":
      return refusedWrite(served) ?? changed(served, [key], writeKey(bucket, key, exchange, maxSize));
    case "DELETE":
      return refusedDelete(served) ?? changed(served, [key], removeKey(bucket, key, exchange));
    default:
      return methodNotAllowed("GET, HEAD, PUT, DELETE");
  }
}

/** Waits for a change of the bucket, and lets go of the store if it may lie otherwise now. */
async function changed(served: Served, keys: readonly string[], answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } finally {
    for (const key of keys) served.objects.changed(key);
  }
}

/** What is asked of a bucket as a whole. Each folder is one too: the keys of its listing and copies start in it. */
async function routeFolder(served: Served, folder: string, exchange: Exchange): Promise<Answer> {
  const { query } = exchange.target;
  const { method } = exchange.request;
  if (method === "POST" && query.has("copy")) {
    const to = folder + (query.get("to") ?? "");
    return refusedWrite(served) ?? changed(served, [to], copyKey(served.bucket, folder, exchange));
  }
  if (method !== "GET" && method !== "HEAD") return methodNotAllowed("GET, HEAD");
  return query.has("list")
    ? listKeys(served.bucket, folder, exchange)
    : textAnswer(200, "a bucket of git-odb");
}

async function routeList(served: Served, folder: string, exchange: Exchange): Promise<Answer> {
  const { method } = exchange.request;
  if (method !== "GET" && method !== "HEAD") return methodNotAllowed("GET, HEAD");
  const { store } = await served.objects.get(folder);
  return listOrGet(store, exchange);
}

async function routeUpload(served: Served, folder: string, exchange: Exchange): Promise<Answer> {
  if (exchange.request.method !== "POST") return methodNotAllowed("POST");
  const isDelete = exchange.target.query.get("delete") === "1";
  const refusal = isDelete ? refusedDelete(served) : refusedWrite(served);
  if (refusal) return refusal;
  const { bucket, store } = await served.objects.get(folder);
  return isDelete ? removeObject(bucket, store, exchange) : upload(store, exchange, served.maxSize);
}

function refusedWrite({ readOnly }: Served): Answer | undefined {
  return readOnly ? textAnswer(403, "this server is read-only") : undefined;
}

function refusedDelete(served: Served): Answer | undefined {
  if (served.allowDelete) return refusedWrite(served);
  return textAnswer(403, "this server does not delete (git odb serve --allow-delete)");
}

/** The keys of a folder begin with this: empty for the root. @throws OdbError invalid */
function folderOf(path: string): string {
  const folder = decoded(path.slice(1));
  checkPrefix(folder);
  return folder;
}

/** @throws OdbError invalid */
function keyOf(path: string): string {
  const key = decoded(path.slice(1));
  checkKey(key);
  return key;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new OdbError("invalid", "the path is no percent-encoded UTF-8", { cause: error });
  }
}
