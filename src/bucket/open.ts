/** Opens the bucket that a URL names, wrapped in what every caller wants round it. */

import type { Bucket } from "./bucket.js";
import { fileBucket } from "./file.js";
import { withLimit } from "./limit.js";
import { memoryBucket } from "./memory.js";
import type { BucketOptions } from "./options.js";
import { withRetry } from "./retry.js";
import { type BucketLocation, parseBucketUrl } from "./url.js";

export type { BucketOptions, Credential, CredentialProvider, RetryOptions } from "./options.js";
export { type BucketLocation, parseBucketUrl, type S3Location } from "./url.js";

/** Requests at once to a server, each with a connection. The number for S3 is an estimate for 20 ms of latency. */
const CONCURRENCY = { http: 16, s3: 48 };

/**
 * Opens a bucket; nothing is asked of it yet. What is behind a network is retried and limited, and its code loaded
 * only now. `memory:<name>` is the same bucket each time in one process.
 *
 * @throws OdbError invalid, when the URL is none
 */
export async function openBucket(url: string, options: BucketOptions = {}): Promise<Bucket> {
  const location = parseBucketUrl(url);
  const bucket = await openKind(location, options);
  const { kind } = location;
  const isRemote = kind === "http" || kind === "s3";
  const limit = options.concurrency ?? (isRemote ? CONCURRENCY[kind] : undefined);
  const limited = limit === undefined ? bucket : withLimit(bucket, limit);
  // A pause between tries must not hold a slot: so the limit is inside.
  return options.retry === false || !isRemote ? limited : withRetry(limited, options.retry);
}

const inMemory = new Map<string, Bucket>();

async function openKind(location: BucketLocation, options: BucketOptions): Promise<Bucket> {
  switch (location.kind) {
    case "memory": {
      const bucket = inMemory.get(location.name) ?? memoryBucket(location.name);
      inMemory.set(location.name, bucket);
      return bucket;
    }
    case "file":
      return fileBucket(location.path, location.name);
    case "http":
      return (await import("./http.js")).httpBucket(location.url, {
        credentials: options.credentials,
        idleMs: options.idleMs,
      });
    case "s3":
      return (await import("./s3.js")).s3Bucket(location, {
        ...(options.s3Client && { client: options.s3Client }),
        ...(options.idleMs !== undefined && { idleMs: options.idleMs }),
      });
  }
}
