/** The library's buckets: keys and bytes in memory, in a folder, over HTTP or in S3. */

export type {
  Body,
  Bucket,
  CallOptions,
  Entry,
  ListOptions,
  ReadOptions,
  StreamOptions,
  WriteOptions,
  WriteOutcome,
} from "./bucket.js";
export { fileBucket } from "./file.js";
export { httpBucket } from "./http.js";
export { checkKey, compareKeys } from "./keys.js";
export { withLimit } from "./limit.js";
export { memoryBucket } from "./memory.js";
export { openBucket } from "./open.js";
export type { BucketOptions, Credential, CredentialProvider, RetryOptions } from "./options.js";
export { withRetry } from "./retry.js";
export { type BucketLocation, parseBucketUrl, type S3Location } from "./url.js";
