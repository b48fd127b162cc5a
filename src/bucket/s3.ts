/** A bucket in S3, or in whatever speaks its protocol. Small writes go in one request, large ones through s3-multipart.ts. */

import type { S3Client } from "@aws-sdk/client-s3";
import { OdbError } from "../errors.js";
import type { Bucket } from "./bucket.js";
import { s3Connection } from "./s3-client.js";
import { type Conditions, probeConditions } from "./s3-probe.js";
import { bucketCheck, headKey, listKeys, readKey } from "./s3-read.js";
import { defaultLimits, type S3Context, type S3Limits, storageOptions } from "./s3-request.js";
import { writeStream } from "./s3-stream.js";
import { removeUnfinished } from "./s3-unfinished.js";
import { copyKey, removeKeys, writeKey } from "./s3-write.js";
import { type BucketLocation, parseBucketUrl } from "./url.js";

/** Options of {@link s3Bucket}. */
export interface S3BucketOptions {
  /** A client of the caller's, who closes it. Default: one for the URL. */
  readonly client?: S3Client;
  /** As in BucketOptions; a client of the caller's has its own. */
  readonly idleMs?: number;
  /** Sizes at which S3 changes its rules; smaller ones are for tests only. */
  readonly limits?: Partial<S3Limits>;
}

/**
 * A bucket behind `s3://<bucket>/<prefix>?…` (docs/s3.md). Nothing is loaded or asked before the first operation.
 * Credentials come from the SDK's default chain: environment, profiles, SSO, roles. Every call is tried once, but
 * for the parts of a multipart upload.
 *
 * @throws OdbError invalid, when the URL is none of S3
 */
export function s3Bucket(url: string | BucketLocation, options: S3BucketOptions = {}): Bucket {
  const parsed = typeof url === "string" ? parseBucketUrl(url) : url;
  const { name } = parsed;
  if (parsed.kind !== "s3") throw new OdbError("invalid", `${name}: expected s3://<bucket>/<prefix>`);
  const location = parsed.s3;
  const connection = s3Connection(location, options);
  const context: S3Context = {
    name,
    location,
    call: connection.call,
    storage: storageOptions(location, name),
    limits: { ...defaultLimits, ...options.limits },
  };
  let probed: Promise<Conditions> | undefined;
  const conditions = (signal?: AbortSignal) => {
    probed ??= probeConditions(context, signal).catch((error) => {
      probed = undefined;
      throw error;
    });
    return probed;
  };
  const assertBucket = bucketCheck(context);
  return {
    name,
    recordsSha256: true,
    head: (key, call) => headKey(context, assertBucket, key, call),
    read: (key, call) => readKey(context, assertBucket, key, call),
    write: (key, source, call) => writeKey(context, conditions, key, source, call),
    writeStream: (key, content, call) => writeStream(context, key, content, call),
    remove: (keys, call) => removeKeys(context, keys, call),
    list: (prefix, call) => listKeys(context, prefix, call),
    removeUnfinished: (prefix, before, call) => removeUnfinished(context, prefix, before, call),
    copy: (from, to, call) => copyKey(context, assertBucket, from, to, call),
    conditionalWrites: async (call) => (await conditions(call?.signal)).honoured,
    async close() {
      connection.close();
    },
  };
}
