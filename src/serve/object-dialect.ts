/** The list/upload dialect: git objects by id, as the HTTP example server of the patch series serves them. */

import type { Bucket } from "../bucket/bucket.js";
import { type ObjectId, parseObjectId } from "../object/id.js";
import { formatInfo, type ObjectInfo, parseObjectType, parseSize } from "../object/info.js";
import { asRaw } from "../store/encoding.js";
import { looseKey } from "../store/loose-layout.js";
import { rawKey } from "../store/raw-layout.js";
import { stage, stagingFor } from "../store/stage.js";
import type { ObjectStore } from "../store/store.js";
import { type Answer, parsing, textAnswer } from "./answer.js";
import { type Exchange, receive } from "./exchange.js";

/** Lines of a listing gathered into one chunk. */
const LINES = 1000;

/** Answers GET or HEAD of `/list/`. */
export async function listOrGet(store: ObjectStore, exchange: Exchange): Promise<Answer> {
  const { query } = exchange.target;
  const sha1 = query.get("sha1");
  if (sha1 === null)
    return { status: 200, headers: { "content-type": "text/plain" }, body: lines(store, exchange) };
  const oid = parsing(() => parseObjectId(sha1));
  if ("refusal" in oid) return oid.refusal;
  return exchange.request.method === "HEAD"
    ? headObject(store, oid.value, exchange)
    : getObject(store, oid.value, exchange);
}

/** Answers `POST /upload/`: stores what hashes to its name, or nothing. */
export async function upload(store: ObjectStore, exchange: Exchange, maxSize: number): Promise<Answer> {
  const parsed = parsing(() => parseUpload(exchange.target.query));
  if ("refusal" in parsed) return parsed.refusal;
  const info = parsed.value;
  const length = exchange.request.headers["content-length"];
  if (info.size > maxSize) return textAnswer(413, `at most ${maxSize} bytes are accepted`);
  if (length !== undefined && Number(length) !== info.size) {
    return textAnswer(422, `object ${info.oid}: a body of ${length} bytes for size=${info.size}`);
  }
  const { signal } = exchange;
  await using staged = await stage(info, receive(exchange), { ...stagingFor(store), signal });
  await store.put(staged, { signal });
  return { status: 201, headers: { "x-odb-verified": info.oid } };
}

/**
 * Answers `POST /upload/?…&delete=1`. An object lies under the key of one layout or the other; one in a pack cannot
 * be taken out of it.
 */
export async function removeObject(
  bucket: Bucket,
  store: ObjectStore,
  { target, signal }: Exchange,
): Promise<Answer> {
  const parsed = parsing(() => parseUpload(target.query).oid);
  if ("refusal" in parsed) return parsed.refusal;
  const oid = parsed.value;
  await bucket.remove([rawKey(oid), looseKey(oid)], { signal });
  const left = await store.stat(oid, { signal });
  return left ? textAnswer(409, `object ${oid} lies in a pack and stays`) : { status: 204 };
}

async function headObject(store: ObjectStore, oid: ObjectId, exchange: Exchange): Promise<Answer> {
  const { target, signal } = exchange;
  const isVerify = target.query.get("verify") === "1";
  const info = isVerify ? await store.verify(oid, { signal }) : await store.stat(oid, { signal });
  if (!info) return notFound(oid);
  const verified = isVerify ? { "x-odb-verified": oid } : {};
  return { status: 200, headers: { ...described(info), ...verified } };
}

async function getObject(store: ObjectStore, oid: ObjectId, { signal }: Exchange): Promise<Answer> {
  const stored = await store.get(oid, { signal });
  if (!stored) return notFound(oid);
  return { status: 200, headers: described(stored.info), body: asRaw(stored) };
}

/** A broken object is left out: who asks for it by its id is told (422). */
async function* lines(store: ObjectStore, { signal }: Exchange): AsyncIterable<Uint8Array> {
  let held: string[] = [];
  for await (const info of store.list({ signal, onBad: () => {} })) {
    held.push(`${formatInfo(info)}\n`);
    if (held.length < LINES) continue;
    yield Buffer.from(held.join(""));
    held = [];
  }
  yield Buffer.from(held.join(""));
}

/** @throws OdbError invalid */
function parseUpload(query: URLSearchParams): ObjectInfo {
  return {
    oid: parseObjectId(query.get("sha1") ?? ""),
    size: parseSize(query.get("size") ?? ""),
    type: parseObjectType(query.get("type") ?? ""),
  };
}

function described(info: ObjectInfo): Record<string, string | number> {
  return {
    "content-type": "application/octet-stream",
    "content-length": info.size,
    "x-odb-type": info.type,
  };
}

function notFound(oid: ObjectId): Answer {
  return textAnswer(404, `object ${oid}: not here`);
}
