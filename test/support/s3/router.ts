/** From an HTTP request to the S3 operation it asks for. */

import type { IncomingMessage } from "node:http";
import { listObjects } from "./listing.js";
import {
  abortUpload,
  completeUpload,
  createUpload,
  listParts,
  listUploads,
  uploadPart,
} from "./multipart.js";
import { type Context, copyObject, deleteObject, deleteObjects, getObject, putObject } from "./objects.js";
import type { S3Request, S3Response } from "./types.js";

/** An operation's code. */
export type Operation = (context: Context) => S3Response | Promise<S3Response>;

/** Every operation on a bucket that is there, by S3's names. */
export const operations: Readonly<Record<string, Operation>> = {
  HeadBucket: () => ({ status: 200 }),
  ListObjectsV2: listObjects,
  ListMultipartUploads: listUploads,
  DeleteObjects: deleteObjects,
  GetObject: (context) => getObject(context),
  HeadObject: (context) => getObject(context, true),
  PutObject: putObject,
  CopyObject: copyObject,
  DeleteObject: deleteObject,
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPart,
  ListParts: listParts,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
};

/** Takes a request apart (path style: `/bucket/key?query`). */
export function parseRequest(message: IncomingMessage, body: AsyncIterable<Uint8Array>): S3Request {
  const [rawPath = "/", search = ""] = splitOnce(message.url ?? "/", "?");
  const [bucket = "", key = ""] = splitOnce(decodeURIComponent(rawPath.slice(1)), "/");
  const query = new Map<string, string>();
  for (const pair of search.split("&").filter((text) => text !== "")) {
    const [name = "", value = ""] = splitOnce(pair, "=");
    query.set(decodeURIComponent(name), decodeURIComponent(value));
  }
  return {
    message,
    method: message.method ?? "GET",
    rawPath,
    bucket,
    key,
    query,
    body,
    header(name) {
      const value = message.headers[name];
      return Array.isArray(value) ? value.join(",") : value;
    },
  };
}

/** The operation's name, or undefined for what this server does not do. */
export function operationOf(request: S3Request): string | undefined {
  return request.key === "" ? ofBucket(request) : ofObject(request);
}

function ofBucket({ method, query }: S3Request): string | undefined {
  if (method === "PUT") return "CreateBucket";
  if (method === "HEAD") return "HeadBucket";
  if (method === "POST" && query.has("delete")) return "DeleteObjects";
  if (method !== "GET") return undefined;
  if (query.has("uploads")) return "ListMultipartUploads";
  return query.get("list-type") === "2" ? "ListObjectsV2" : undefined;
}

function ofObject(request: S3Request): string | undefined {
  const { method, query } = request;
  const upload = query.has("uploadId");
  const copy = request.header("x-amz-copy-source") !== undefined;
  if (method === "GET") return upload ? "ListParts" : "GetObject";
  if (method === "HEAD") return "HeadObject";
  if (method === "DELETE") return upload ? "AbortMultipartUpload" : "DeleteObject";
  if (method === "POST" && query.has("uploads")) return "CreateMultipartUpload";
  if (method === "POST" && upload) return "CompleteMultipartUpload";
  if (method !== "PUT") return undefined;
  if (upload) return copy ? "UploadPartCopy" : "UploadPart";
  return copy ? "CopyObject" : "PutObject";
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
