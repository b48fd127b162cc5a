/** The operations of our own wire: what each looks like in HTTP, and what its answer says. */

import { createHash } from "node:crypto";
import { collect, sourceOf } from "../object/content.js";
import type { HttpResponse } from "./http-exchange.js";
import type { ChecksumMode } from "./s3-address.js";
import type { RequestBody, S3Calls, S3Operation } from "./s3-calls.js";
import { checkedContent, crc32Header } from "./s3-checksum.js";
import { type Element, escapeXml, parseXml, textOf } from "./s3-xml.js";

/** One operation in HTTP. */
export interface WireCall<Answer> {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Without the bucket. */
  readonly key?: string | undefined;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Names in lower case; undefined ones are left out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: RequestBody;
  /** Reads a good answer; without it the body is of no interest. */
  read?(response: HttpResponse, what: string): Answer | Promise<Answer>;
}

/** When checksums are sent, and checked. */
export interface ChecksumModes {
  readonly request: ChecksumMode;
  readonly response: ChecksumMode;
}

/** Bytes of an XML answer: a page of 1000 keys of 1024 bytes, each of them escaped, has fewer. */
const XML_LIMIT = 16 * 1024 * 1024;

type Make<K extends S3Operation> = (
  input: S3Calls[K]["input"],
  modes: ChecksumModes,
) => WireCall<S3Calls[K]["answer"]> | undefined;

/** What our wire does; a call that comes out undefined is left to the SDK like the operations that are not here. */
export const wireCalls: { readonly [K in S3Operation]?: Make<K> } = {
  HeadBucket: () => ({ method: "HEAD" }),

  HeadObject: ({ Key }) => ({
    method: "HEAD",
    key: Key,
    read({ headers, discard }) {
      discard();
      return factsOf(headers);
    },
  }),

  GetObject: ({ Key, Range }, { response: mode }) => ({
    method: "GET",
    key: Key,
    headers: {
      range: Range,
      "x-amz-checksum-mode": mode === "supported" ? "ENABLED" : undefined,
    },
    read(response, what) {
      const { headers, status } = response;
      const facts = factsOf(headers);
      if (facts.ContentLength === undefined) throw new SyntaxError("an object without a length");
      const ContentRange = status === 206 ? headers["content-range"] : undefined;
      // A checksum is that of the whole object.
      const isChecked = mode === "supported" && status === 200;
      const content = isChecked ? checkedContent(response.content(), headers, what) : response.content();
      return { ...facts, ContentRange, content };
    },
  }),

  // A stream with a checksum behind it stays with the SDK: few are so large, and the form is tricky.
  PutObject: ({ Key, body, ...input }, { request: mode }) =>
    body.bytes === undefined && mode === "supported"
      ? undefined
      : {
          method: "PUT",
          key: Key,
          body,
          headers: {
            "content-type": input.ContentType ?? "application/octet-stream",
            "content-md5": body.md5,
            "if-none-match": input.IfNoneMatch,
            "if-match": input.IfMatch,
            "x-amz-storage-class": input.StorageClass,
            "x-amz-server-side-encryption": input.ServerSideEncryption,
            "x-amz-server-side-encryption-aws-kms-key-id": input.SSEKMSKeyId,
            ...(body.bytes && mode === "supported" && crc32Header(body.bytes)),
            ...metadataHeaders(input.Metadata),
          },
          read: ({ headers, discard }) => {
            discard();
            const ServerSideEncryption = headers["x-amz-server-side-encryption"] as string | undefined;
            return { ETag: headers.etag, ServerSideEncryption };
          },
        },

  DeleteObject: ({ Key }) => ({ method: "DELETE", key: Key }),

  DeleteObjects({ keys }, { request: mode }) {
    const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join("");
    const xml = `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${objects}</Delete>`;
    const bytes = Buffer.from(xml);
    const md5 = createHash("md5").update(bytes).digest("base64");
    return {
      method: "POST",
      query: { delete: "" },
      headers: {
        "content-type": "application/xml",
        "content-md5": md5,
        ...(mode === "supported" && crc32Header(bytes)),
      },
      body: { source: sourceOf(bytes), bytes, md5 },
      async read(response) {
        const result = await readXml(response, "DeleteResult");
        const Errors = childrenOf(result, "Error").map((error) => ({
          Key: textOf(error, "Key"),
          Code: textOf(error, "Code"),
        }));
        return { Errors };
      },
    };
  },

  ListObjectsV2: ({ Prefix, MaxKeys, StartAfter, ContinuationToken }) => ({
    method: "GET",
    query: {
      "list-type": "2",
      prefix: Prefix,
      "max-keys": MaxKeys?.toString(),
      "start-after": StartAfter,
      "continuation-token": ContinuationToken,
    },
    async read(response) {
      const page = await readXml(response, "ListBucketResult");
      return {
        Contents: childrenOf(page, "Contents").map((entry) => ({
          Key: textOf(entry, "Key"),
          Size: numberOf(entry, "Size"),
          ETag: textOf(entry, "ETag"),
          LastModified: dateOf(textOf(entry, "LastModified")),
        })),
        IsTruncated: textOf(page, "IsTruncated") === "true",
        NextContinuationToken: textOf(page, "NextContinuationToken"),
      };
    },
  }),

  ListMultipartUploads: ({ Prefix, KeyMarker, UploadIdMarker }) => ({
    method: "GET",
    query: { uploads: "", prefix: Prefix, "key-marker": KeyMarker, "upload-id-marker": UploadIdMarker },
    async read(response) {
      const page = await readXml(response, "ListMultipartUploadsResult");
      return {
        Uploads: childrenOf(page, "Upload").map((upload) => ({
          Key: textOf(upload, "Key"),
          UploadId: textOf(upload, "UploadId"),
          Initiated: dateOf(textOf(upload, "Initiated")),
        })),
        IsTruncated: textOf(page, "IsTruncated") === "true",
        NextKeyMarker: textOf(page, "NextKeyMarker"),
        NextUploadIdMarker: textOf(page, "NextUploadIdMarker"),
      };
    },
  }),
};

/** The body of an answer as XML. @throws SyntaxError, when it is none of S3's */
export async function readXml(response: HttpResponse, root?: string, limit = XML_LIMIT): Promise<Element> {
  const bytes = await collect(response.content(), limit);
  const element = parseXml(bytes.toString());
  if (root !== undefined && element.name !== root) throw new SyntaxError(`no ${root} but ${element.name}`);
  return element;
}

function factsOf(headers: HttpResponse["headers"]): S3Calls["HeadObject"]["answer"] {
  const Metadata: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (name.startsWith(METADATA) && typeof value === "string") Metadata[name.slice(METADATA.length)] = value;
  }
  const length = headers["content-length"];
  return {
    ContentLength: length === undefined ? undefined : Number(length),
    ContentType: headers["content-type"],
    ETag: headers.etag,
    LastModified: dateOf(headers["last-modified"]),
    Metadata,
  };
}

const METADATA = "x-amz-meta-";

function metadataHeaders(metadata: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [METADATA + name, value]));
}

function childrenOf(element: Element, name: string): Element[] {
  return element.children.filter((child) => child.name === name);
}

function numberOf(element: Element, name: string): number {
  const text = textOf(element, name);
  if (text === undefined || !/^\d{1,16}$/.test(text)) throw new SyntaxError(`no number in ${name}`);
  return Number(text);
}

function dateOf(text: string | undefined): Date | undefined {
  const date = text === undefined ? undefined : new Date(text);
  return date === undefined || Number.isNaN(date.getTime()) ? undefined : date;
}
