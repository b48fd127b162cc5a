/** Operations on single objects: get, head, put, copy, delete. */

import { readBlobs } from "./blobs.js";
import { type Conditions, conditionError, putConditions, readConditions } from "./conditions.js";
import { decodePayload, type Payload } from "./payload.js";
import type { Signed } from "./sigv4.js";
import type { BucketState, ServerState } from "./state.js";
import { S3Error, type S3Request, type S3Response, type StoredObject } from "./types.js";
import { document, elements, textOf } from "./xml.js";

/** All that an operation works on. */
export interface Context {
  readonly state: ServerState;
  readonly bucket: BucketState;
  readonly request: S3Request;
  readonly signed: Signed;
}

/** GetObject and HeadObject. */
export function getObject(context: Context, head = false): S3Response {
  const { bucket, request } = context;
  const object = bucket.get(request.key);
  if (!object) throw new S3Error(404, "NoSuchKey", "The specified key does not exist.");
  const status = readConditions(request, object);
  if (status !== undefined) return { status };
  const range = parseRange(request.header("range"), object.size);
  const { start, end } = range ?? { start: 0, end: object.size };
  return {
    status: range ? 206 : 200,
    headers: {
      ...objectHeaders(request, object),
      "content-length": end - start,
      ...(range && { "content-range": `bytes ${start}-${end - 1}/${object.size}` }),
    },
    ...(!head && { body: { size: end - start, content: readBlobs(object.parts, start, end) } }),
  };
}

/** PutObject. */
export async function putObject(context: Context): Promise<S3Response> {
  const { state, bucket, request } = context;
  const conditions = putConditions(request, state.faults);
  const early = conditionError(conditions, bucket.get(request.key));
  if (early) throw early;
  const payload = decodePayload(request, context.signed);
  const blob = await state.blobs.write(payload.content);
  const object: StoredObject = {
    key: request.key,
    size: blob.size,
    etag: blob.md5.toString("hex"),
    modified: new Date(state.now()),
    headers: keptHeaders(request),
    checksums: payload.checksums(),
    parts: [blob],
  };
  commit(context, object, conditions);
  return { status: 200, headers: { etag: `"${object.etag}"`, ...object.checksums } };
}

/** Stores an object unless its condition fails now: of two racers, one. */
export function commit(context: Context, object: StoredObject, conditions: Conditions): void {
  const error = conditionError(conditions, context.bucket.get(object.key));
  if (error) {
    context.state.blobs.release(object.parts);
    throw error;
  }
  context.bucket.set(object);
}

/** CopyObject. */
export function copyObject(context: Context): S3Response {
  const { state, bucket, request } = context;
  const source = copySource(context);
  if (source.size > 5 * 1024 ** 3)
    throw new S3Error(
      400,
      "InvalidRequest",
      "The specified copy source is larger than the maximum allowable size",
    );
  const replace = request.header("x-amz-metadata-directive") === "REPLACE";
  if (source === bucket.get(request.key) && !replace)
    throw new S3Error(
      400,
      "InvalidRequest",
      "This copy request is illegal: an object onto itself, unchanged",
    );
  for (const blob of source.parts) blob.refs += 1;
  const headers = replace ? keptHeaders(request) : source.headers;
  const modified = new Date(state.now());
  bucket.set({ ...source, key: request.key, modified, headers });
  const body = document("CopyObjectResult", {
    ETag: `"${source.etag}"`,
    LastModified: modified.toISOString(),
  });
  return { status: 200, body };
}

/** The object that `x-amz-copy-source` names, in this server. */
export function copySource({ state, request }: Context): StoredObject {
  const path = decodeURIComponent((request.header("x-amz-copy-source") ?? "").replace(/^\//, ""));
  const slash = path.indexOf("/");
  const object = state.bucket(path.slice(0, slash)).get(path.slice(slash + 1));
  if (!object) throw new S3Error(404, "NoSuchKey", "The specified key does not exist.");
  return object;
}

/** DeleteObject: absent is no error. */
export function deleteObject({ bucket, request }: Context): S3Response {
  bucket.delete(request.key);
  return { status: 204 };
}

/** DeleteObjects: at most 1000 keys. */
export async function deleteObjects(context: Context): Promise<S3Response> {
  const xml = await textBody(decodePayload(context.request, context.signed));
  const keys = elements(xml, "Object").map((entry) => textOf(entry, "Key") ?? "");
  if (keys.length === 0 || keys.length > 1000) throw new S3Error(400, "MalformedXML");
  for (const key of keys) context.bucket.delete(key);
  const quiet = textOf(xml, "Quiet") === "true";
  return {
    status: 200,
    body: document("DeleteResult", quiet ? {} : { Deleted: keys.map((Key) => ({ Key })) }),
  };
}

/** An XML body as text. */
export async function textBody(payload: Payload): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of payload.content) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** The headers of an upload that come back with the object. */
export function keptHeaders(request: S3Request): Record<string, string> {
  const kept: Record<string, string> = { "content-type": "binary/octet-stream" };
  for (const [name, value] of Object.entries(request.message.headers)) {
    const wanted =
      /^(content-type|cache-control|x-amz-meta-.*|x-amz-storage-class|x-amz-server-side-encryption)$/;
    if (wanted.test(name) && typeof value === "string") kept[name] = value;
  }
  return kept;
}

/**
 * `bytes=a-b`, `bytes=a-`, `bytes=-n`; anything else is ignored, as HTTP says.
 *
 * @throws S3Error InvalidRange, when it starts past the end
 */
export function parseRange(
  text: string | undefined,
  size: number,
): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const start = match[1] === "" ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === "" || match[2] === "" ? size : Math.min(size, Number(match[2]) + 1);
  if (start >= size || start >= end)
    throw new S3Error(416, "InvalidRange", "The requested range is not satisfiable", {
      "content-range": `bytes */${size}`,
    });
  return { start, end };
}

function objectHeaders(request: S3Request, object: StoredObject): Record<string, string> {
  const whole = request.header("range") === undefined;
  return {
    ...object.headers,
    etag: `"${object.etag}"`,
    "last-modified": object.modified.toUTCString(),
    "accept-ranges": "bytes",
    ...(whole && request.header("x-amz-checksum-mode") === "ENABLED" && object.checksums),
  };
}
