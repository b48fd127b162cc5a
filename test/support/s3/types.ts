/** What the embedded S3 server passes round: requests, stored objects, its one error, and the faults it can be told to have. */

import type { IncomingMessage } from "node:http";

/** One stored run of bytes, in memory or in a file; shared by copies, so counted. */
export interface Blob {
  readonly size: number;
  readonly md5: Buffer;
  readonly bytes?: Buffer;
  readonly path?: string;
  refs: number;
}

/** An object: the blobs that make it up, in order, and the headers given back with it. */
export interface StoredObject {
  readonly key: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly modified: Date;
  /** content-type, x-amz-meta-*, x-amz-storage-class …: as the upload sent them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Checksum headers of the whole object (`x-amz-checksum-crc32: …`). */
  readonly checksums: Readonly<Record<string, string>>;
  readonly parts: readonly Blob[];
}

/** An unfinished multipart upload. */
export interface Upload {
  readonly id: string;
  readonly key: string;
  readonly initiated: Date;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, { readonly blob: Blob; readonly etag: string; readonly modified: Date }>;
}

/** A request as the router understood it. */
export interface S3Request {
  readonly message: IncomingMessage;
  readonly method: string;
  /** The path as sent, still encoded. */
  readonly rawPath: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  header(name: string): string | undefined;
  /** The bytes as they come, still framed; consumed once. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** What an operation answers. A body of content needs `size`. */
export interface S3Response {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | { readonly size: number; readonly content: AsyncIterable<Uint8Array> };
}

/** A failure in S3's own words: HTTP status and `<Code>`. */
export class S3Error extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message = code, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** One misbehaviour, applied to the requests that match until `times` is used up. */
export interface FaultRule {
  /** As S3 calls it: `GetObject`, `UploadPart`; every operation when left out. */
  readonly operation?: string;
  /** Regular expression that the key must match. */
  readonly key?: string;
  /** So many matching requests pass first. */
  readonly skip?: number;
  /** So many requests are hit, then no more. Default: all. */
  readonly times?: number;
  /**
   * - `slowDown`, `internal`: 503 SlowDown, 500 InternalError
   * - `forbidden`: 403 AccessDenied
   * - `full`: 507 InsufficientStorage; `quota`: 403 QuotaExceeded (radosgw's)
   * - `conflict`: 409 ConditionalRequestConflict (Amazon's answer to some races)
   * - `reset`: the connection breaks after `afterBytes` of the body (of the request if it has one, else of the answer)
   * - `truncate`: the answer ends after `afterBytes`, the connection is closed as if all were well
   * - `lostAnswer`: the operation is carried out, then the connection breaks without an answer
   * - `hang`: no answer ever
   * - `completeError`: 200 with an `<Error>` document, as CompleteMultipartUpload and CopyObject may do
   */
  readonly kind:
    | "slowDown"
    | "internal"
    | "forbidden"
    | "full"
    | "quota"
    | "conflict"
    | "reset"
    | "truncate"
    | "lostAnswer"
    | "hang"
    | "completeError";
  /** For `reset` and `truncate`, in bytes. Default 0. */
  readonly afterBytes?: number;
  /** Adds `Retry-After`, in seconds. */
  readonly retryAfter?: number;
}

/** How the server is to misbehave; an empty object: not at all. */
export interface Faults {
  /** Added to every request before it is looked at. */
  readonly latencyMs?: number;
  readonly rules?: readonly FaultRule[];
  /** Conditions on a PutObject: `refused` 501 (OpenStack Swift), `ignored` (old servers). */
  readonly conditions?: "honoured" | "refused" | "ignored";
  /** Conditions on CompleteMultipartUpload: `ignored` as radosgw does. Default honoured. */
  readonly completeConditions?: "honoured" | "ignored";
  /** Compares `If-Match` with the bare ETag only, as radosgw 16 and 18 do. */
  readonly bareEtags?: boolean;
  /** Streamed bodies without Content-Length of the payload are answered 411, as by radosgw 16. */
  readonly refuseStreamed?: boolean;
  /** Requests with `x-amz-checksum-*` or a trailer are refused, as by R2 and Dell ECS of their day. */
  readonly refuseChecksums?: boolean;
  /** Listings show what was there when this was set. */
  readonly staleListing?: boolean;
  /** The server's clock is off by so much. */
  readonly clockSkewMs?: number;
}

/** One request that the server saw, for tests that count. */
export interface RequestRecord {
  readonly operation: string;
  readonly key: string;
  readonly query: string;
  readonly status: number;
}
