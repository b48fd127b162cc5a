/** Opens the bucket that a URL names, wrapped in what every caller wants round it. */

import { OdbError } from "../errors.js";
import type { Bucket } from "./bucket.js";
import { fileBucket } from "./file.js";
import { memoryBucket } from "./memory.js";
import type { BucketOptions } from "./options.js";
import { type BucketLocation, parseBucketUrl } from "./url.js";

/**
 * Opens a bucket; nothing is asked of it yet. `memory:<name>` is the same bucket each time in one process.
 *
 * @throws OdbError invalid, when the URL is none
 */
export async function openBucket(url: string, options: BucketOptions = {}): Promise<Bucket> {
  return openKind(parseBucketUrl(url), options);
}

const inMemory = new Map<string, Bucket>();

async function openKind(location: BucketLocation, _options: BucketOptions): Promise<Bucket> {
  switch (location.kind) {
    case "memory": {
      const bucket = inMemory.get(location.name) ?? memoryBucket(location.name);
      inMemory.set(location.name, bucket);
      return bucket;
    }
    case "file":
      return fileBucket(location.path, location.name);
    case "s3":
      return (await import("./s3.js")).s3Bucket(location);
    default:
      throw new OdbError("unsupported", `${location.name}: no bucket of this kind yet`);
  }
}
