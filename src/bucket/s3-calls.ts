/** What is asked of an S3 service: each operation by S3's own name, with the part of its input and answer that is used. */

import type {
  AbortMultipartUploadCommandInput,
  CompleteMultipartUploadCommandInput,
  CopyObjectCommandInput,
  CreateMultipartUploadCommandInput,
  DeleteObjectCommandInput,
  DeleteObjectsCommandInput,
  GetObjectCommandInput,
  GetObjectCommandOutput,
  HeadBucketCommandInput,
  HeadObjectCommandInput,
  HeadObjectCommandOutput,
  ListMultipartUploadsCommandInput,
  ListMultipartUploadsCommandOutput,
  ListObjectsV2CommandInput,
  ListPartsCommandInput,
  ListPartsCommandOutput,
  PutObjectCommandInput,
  UploadPartCommandInput,
  UploadPartCopyCommandInput,
  UploadPartCopyCommandOutput,
} from "@aws-sdk/client-s3";
import type { Content, Source } from "../object/content.js";

/** A body to send. */
export interface RequestBody {
  /** Its bytes: opened once a request. What it throws breaks the request off. */
  readonly source: Source;
  /** The same bytes in memory, when they are small; the checksums are there then, too. */
  readonly bytes?: Buffer;
  /** Base64, for Content-MD5. */
  readonly md5?: string;
  /** Hex. */
  readonly sha256?: string;
}

/** The headers of an object. */
type ObjectFacts = Pick<HeadObjectCommandOutput, "ContentLength" | "ETag" | "LastModified" | "Metadata">;

/** An object on a page of a listing. */
export interface ListedObject {
  readonly Key?: string | undefined;
  readonly Size?: number | undefined;
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
}

/** Input and answer of every operation. */
export interface S3Calls {
  readonly HeadBucket: { input: HeadBucketCommandInput; answer: unknown };
  readonly HeadObject: {
    input: Pick<HeadObjectCommandInput, "Bucket" | "Key">;
    answer: ObjectFacts & Pick<HeadObjectCommandOutput, "ContentType">;
  };
  readonly GetObject: {
    input: Pick<GetObjectCommandInput, "Bucket" | "Key" | "Range">;
    /** `content` must be consumed or returned early; it throws `integrity` when it ends early or is not what was stored. */
    answer: ObjectFacts & Pick<GetObjectCommandOutput, "ContentRange"> & { content: Content };
  };
  readonly PutObject: {
    input: Pick<
      PutObjectCommandInput,
      | "Bucket"
      | "Key"
      | "ContentType"
      | "Metadata"
      | "StorageClass"
      | "ServerSideEncryption"
      | "SSEKMSKeyId"
      | "IfNoneMatch"
      | "IfMatch"
    > & { body: RequestBody };
    answer: Uploaded;
  };
  readonly DeleteObject: { input: Pick<DeleteObjectCommandInput, "Bucket" | "Key">; answer: unknown };
  readonly DeleteObjects: {
    input: Pick<DeleteObjectsCommandInput, "Bucket"> & { readonly keys: readonly string[] };
    answer: { readonly Errors?: readonly FailedKey[] | undefined };
  };
  readonly ListObjectsV2: {
    input: Pick<
      ListObjectsV2CommandInput,
      "Bucket" | "Prefix" | "MaxKeys" | "StartAfter" | "ContinuationToken"
    >;
    answer: {
      readonly Contents?: readonly ListedObject[] | undefined;
      readonly IsTruncated?: boolean | undefined;
      readonly NextContinuationToken?: string | undefined;
    };
  };
  readonly CopyObject: { input: CopyObjectCommandInput; answer: unknown };
  readonly CreateMultipartUpload: {
    input: CreateMultipartUploadCommandInput;
    answer: { readonly UploadId?: string | undefined };
  };
  readonly UploadPart: {
    input: Pick<UploadPartCommandInput, "Bucket" | "Key" | "UploadId" | "PartNumber"> & { body: RequestBody };
    answer: Uploaded & { readonly ChecksumCRC32?: string | undefined };
  };
  readonly UploadPartCopy: {
    input: UploadPartCopyCommandInput;
    answer: Pick<UploadPartCopyCommandOutput, "CopyPartResult">;
  };
  readonly CompleteMultipartUpload: {
    input: CompleteMultipartUploadCommandInput;
    answer: { readonly ETag?: string | undefined };
  };
  readonly AbortMultipartUpload: { input: AbortMultipartUploadCommandInput; answer: unknown };
  readonly ListMultipartUploads: {
    input: ListMultipartUploadsCommandInput;
    answer: Pick<
      ListMultipartUploadsCommandOutput,
      "Uploads" | "IsTruncated" | "NextKeyMarker" | "NextUploadIdMarker"
    >;
  };
  readonly ListParts: {
    input: ListPartsCommandInput;
    answer: Pick<ListPartsCommandOutput, "Parts" | "IsTruncated" | "NextPartNumberMarker">;
  };
}

/** S3's name of an operation. */
export type S3Operation = keyof S3Calls;

/** An answer to an upload. */
export interface Uploaded {
  readonly ETag?: string | undefined;
  readonly ServerSideEncryption?: string | undefined;
}

/** A key that stays although it was to be removed. */
export interface FailedKey {
  readonly Key?: string | undefined;
  readonly Code?: string | undefined;
}

/** How one request is made. */
export interface Sending {
  /** For messages: `read s3://bucket/key`. */
  readonly what: string;
  readonly signal: AbortSignal | undefined;
}

/** Somebody who makes requests, each tried once. */
export interface S3Service {
  /** @throws OdbError, or an exception as the SDK throws them (`s3Failure` takes both) */
  send<K extends S3Operation>(
    operation: K,
    input: S3Calls[K]["input"],
    sending: Sending,
  ): Promise<S3Calls[K]["answer"]>;
  close(): void;
}
