/** What every S3 request is made of: the place of a key, the headers of an upload, and the sizes at which S3 changes its rules. */

import { OdbError } from "../errors.js";
import type { WriteOptions } from "./bucket.js";
import type { S3Connection } from "./s3-client.js";
import type { S3Location } from "./url.js";

/** User metadata (`x-amz-meta-…`) under which an upload records the SHA-256 of its content. */
export const CHECKSUM_KEY = "git-odb-sha256";

/** User metadata under which a conditional write carries an id of its own. */
export const WRITE_KEY = "git-odb-write";

/** Sizes in bytes. */
export interface S3Limits {
  /** Up to this size an unconditional write is one PUT, above it a multipart upload. */
  readonly onePut: number;
  /** S3 takes no larger PUT. */
  readonly onePutAtMost: number;
  /** S3 copies no larger object in one request. */
  readonly oneCopy: number;
  /** A part of an upload has at least this many bytes. */
  readonly part: number;
  /** A part of a stream whose size is not known. */
  readonly streamPart: number;
  /** A part of a large copy. */
  readonly copyPart: number;
  /** Keys (not bytes) on a page of a listing. */
  readonly page: number;
}

const MIB = 1024 * 1024;

/** The limits of Amazon S3 and the part size of docs/s3.md. */
export const defaultLimits: S3Limits = {
  onePut: 16 * MIB,
  onePutAtMost: 5 * 1024 * MIB,
  oneCopy: 5 * 1024 * MIB,
  part: 16 * MIB,
  streamPart: 8 * MIB,
  copyPart: 1024 * MIB,
  page: 1000,
};

/** An upload has at most so many parts. */
export const MAX_PARTS = 10_000;

/** What the operations of one bucket share. */
export interface S3Context {
  readonly name: string;
  readonly location: S3Location;
  readonly call: S3Connection["call"];
  readonly storage: StorageOptions;
  readonly limits: S3Limits;
}

/** Storage class and encryption, as the SDK wants them. */
export interface StorageOptions {
  readonly StorageClass?: "STANDARD";
  readonly ServerSideEncryption?: "AES256" | "aws:kms" | "aws:kms:dsse";
  readonly SSEKMSKeyId?: string;
}

/** The bucket, and the key under the bucket's prefix; "" gives the prefix itself. */
export function fullKey(
  { location }: Pick<S3Context, "location">,
  key: string,
): { Bucket: string; Key: string } {
  const Key = location.prefix === "" ? key : `${location.prefix}/${key}`;
  return { Bucket: location.bucket, Key };
}

/** An ETag without its quotes: so it is in every Entry. */
export function bareEtag(etag: string): string {
  return etag.replace(/^"(.*)"$/, "$1");
}

/** Parts of this many bytes hold `size` bytes in at most {@link MAX_PARTS}. */
export function partSize(size: number, least: number): number {
  return Math.max(least, Math.ceil(size / MAX_PARTS));
}

/** Content type, checksum and other metadata, storage class and encryption of an upload. */
export function uploadHeaders(
  context: S3Context,
  { sha256, contentType = "application/octet-stream" }: WriteOptions,
  metadata: Readonly<Record<string, string>> = {},
): StorageOptions & { ContentType: string; Metadata: Record<string, string> } {
  const Metadata = { ...metadata, ...(sha256 !== undefined && { [CHECKSUM_KEY]: sha256 }) };
  return { ...context.storage, ContentType: contentType, Metadata };
}

/**
 * Storage class and encryption of a location. `sse` is `AES256`, `aws:kms`, `aws:kms:<key id or ARN>` or
 * `aws:kms:dsse`.
 *
 * @throws OdbError invalid
 */
export function storageOptions({ storageClass, sse }: S3Location, name: string): StorageOptions {
  if (storageClass !== undefined && !/^[A-Z0-9_]{1,64}$/.test(storageClass))
    throw new OdbError(
      "invalid",
      `${name}: storageClass=${JSON.stringify(storageClass)} is none (example: STANDARD_IA)`,
    );
  return {
    ...(storageClass !== undefined && { StorageClass: storageClass as "STANDARD" }),
    ...(sse !== undefined && encryption(sse, name)),
  };
}

function encryption(sse: string, name: string): StorageOptions {
  if (sse === "AES256" || sse === "aws:kms" || sse === "aws:kms:dsse") return { ServerSideEncryption: sse };
  const key = /^aws:kms:([A-Za-z0-9:/_-]{1,2048})$/.exec(sse)?.[1];
  if (key !== undefined) return { ServerSideEncryption: "aws:kms", SSEKMSKeyId: key };
  throw new OdbError(
    "invalid",
    `${name}: sse=${JSON.stringify(sse)} should be AES256, aws:kms or aws:kms:<key>`,
  );
}
