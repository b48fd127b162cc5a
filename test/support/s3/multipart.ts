/** Multipart uploads: create, upload or copy a part, list, complete, abort. */

import { createHash } from "node:crypto";
import { readBlobs } from "./blobs.js";
import { completeConditions } from "./conditions.js";
import { type Context, commit, copySource, keptHeaders, parseRange, textBody } from "./objects.js";
import { decodePayload } from "./payload.js";
import { newUpload } from "./state.js";
import { type Blob, S3Error, type S3Response, type Upload } from "./types.js";
import { document, elements, textOf } from "./xml.js";

/** Every part but the last has at least this many bytes. */
const MIN_PART = 5 * 1024 * 1024;

/** CreateMultipartUpload. */
export function createUpload({ state, bucket, request }: Context): S3Response {
  const upload = newUpload(request.key, keptHeaders(request), new Date(state.now()));
  bucket.uploads.set(upload.id, upload);
  const body = { Bucket: request.bucket, Key: request.key, UploadId: upload.id };
  return { status: 200, body: document("InitiateMultipartUploadResult", body) };
}

/** UploadPart and UploadPartCopy. */
export async function uploadPart(context: Context): Promise<S3Response> {
  const { state, request, bucket } = context;
  const upload = uploadOf(context);
  const number = Number(request.query.get("partNumber"));
  if (!(Number.isInteger(number) && number >= 1 && number <= 10_000))
    throw new S3Error(400, "InvalidArgument");
  const copy = request.header("x-amz-copy-source") !== undefined;
  const payload = copy ? undefined : decodePayload(request, context.signed);
  const blob = await state.blobs.write(payload?.content ?? copiedPart(context));
  if (!bucket.uploads.has(upload.id)) {
    state.blobs.release([blob]);
    throw new S3Error(404, "NoSuchUpload");
  }
  const old = upload.parts.get(number);
  const part = { blob, etag: blob.md5.toString("hex"), modified: new Date(state.now()) };
  upload.parts.set(number, part);
  if (old) state.blobs.release([old.blob]);
  if (!payload) {
    const body = { ETag: `"${part.etag}"`, LastModified: part.modified.toISOString() };
    return { status: 200, body: document("CopyPartResult", body) };
  }
  return { status: 200, headers: { etag: `"${part.etag}"`, ...payload.checksums() } };
}

/** ListParts. */
export function listParts(context: Context): S3Response {
  const { request } = context;
  const upload = uploadOf(context);
  const after = Number(request.query.get("part-number-marker") ?? 0);
  const limit = Math.min(1000, Number(request.query.get("max-parts") ?? 1000));
  const all = [...upload.parts].filter(([number]) => number > after).sort(([a], [b]) => a - b);
  const page = all.slice(0, limit);
  const body = document("ListPartsResult", {
    Bucket: request.bucket,
    Key: upload.key,
    UploadId: upload.id,
    IsTruncated: page.length < all.length,
    NextPartNumberMarker: page.at(-1)?.[0],
    Part: page.map(([PartNumber, { blob, etag, modified }]) => ({
      PartNumber,
      Size: blob.size,
      ETag: `"${etag}"`,
      LastModified: modified.toISOString(),
    })),
  });
  return { status: 200, body };
}

/** ListMultipartUploads. */
export function listUploads({ bucket, request }: Context): S3Response {
  const prefix = request.query.get("prefix") ?? "";
  const keyMarker = request.query.get("key-marker") ?? "";
  const idMarker = request.query.get("upload-id-marker") ?? "";
  const limit = Math.min(1000, Number(request.query.get("max-uploads") ?? 1000));
  const all = [...bucket.uploads.values()]
    .filter((upload) => upload.key.startsWith(prefix))
    .filter(
      (upload) => upload.key > keyMarker || (upload.key === keyMarker && idMarker && upload.id > idMarker),
    )
    .sort((a, b) => (a.key < b.key || (a.key === b.key && a.id < b.id) ? -1 : 1));
  const page = all.slice(0, limit);
  const last = page.at(-1);
  const body = document("ListMultipartUploadsResult", {
    Bucket: request.bucket,
    IsTruncated: page.length < all.length,
    NextKeyMarker: last?.key,
    NextUploadIdMarker: last?.id,
    Upload: page.map(({ key, id, initiated }) => ({
      Key: key,
      UploadId: id,
      Initiated: initiated.toISOString(),
    })),
  });
  return { status: 200, body };
}

/** CompleteMultipartUpload. */
export async function completeUpload(context: Context): Promise<S3Response> {
  const { state, bucket, request } = context;
  const conditions = completeConditions(request, state.faults);
  const upload = uploadOf(context);
  const xml = await textBody(decodePayload(request, context.signed));
  const parts = chosenParts(upload, xml);
  const md5 = createHash("md5");
  for (const part of parts) md5.update(part.md5);
  const object = {
    key: upload.key,
    size: parts.reduce((sum, part) => sum + part.size, 0),
    etag: `${md5.digest("hex")}-${parts.length}`,
    modified: new Date(state.now()),
    headers: upload.headers,
    checksums: {},
    parts,
  };
  for (const part of parts) part.refs += 1;
  commit(context, object, conditions);
  bucket.dropUpload(upload.id);
  const body = { Bucket: request.bucket, Key: object.key, ETag: `"${object.etag}"` };
  return { status: 200, headers: {}, body: document("CompleteMultipartUploadResult", body) };
}

/** AbortMultipartUpload. */
export function abortUpload(context: Context): S3Response {
  context.bucket.dropUpload(uploadOf(context).id);
  return { status: 204 };
}

function uploadOf({ bucket, request }: Context): Upload {
  const upload = bucket.uploads.get(request.query.get("uploadId") ?? "");
  if (upload?.key !== request.key)
    throw new S3Error(404, "NoSuchUpload", "The specified multipart upload does not exist.");
  return upload;
}

function copiedPart(context: Context): AsyncIterable<Uint8Array> {
  const source = copySource(context);
  const range = parseRange(context.request.header("x-amz-copy-source-range"), source.size);
  return readBlobs(source.parts, range?.start ?? 0, range?.end ?? source.size);
}

function chosenParts(upload: Upload, xml: string): Blob[] {
  let last = 0;
  const wanted = elements(xml, "Part");
  const parts = wanted.map((entry, index) => {
    const number = Number(textOf(entry, "PartNumber"));
    if (number <= last) throw new S3Error(400, "InvalidPartOrder");
    last = number;
    const part = upload.parts.get(number);
    if (!part || textOf(entry, "ETag")?.replaceAll('"', "") !== part.etag)
      throw new S3Error(400, "InvalidPart");
    if (index < wanted.length - 1 && part.blob.size < MIN_PART) throw new S3Error(400, "EntityTooSmall");
    return part.blob;
  });
  if (parts.length === 0) throw new S3Error(400, "MalformedXML");
  return parts;
}
