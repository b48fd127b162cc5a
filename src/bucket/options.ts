/** What a caller may set when a bucket is opened. */

import type { S3Client } from "@aws-sdk/client-s3";

/** A user name and password (or token), as `git credential` gives them. */
export interface Credential {
  readonly username: string;
  readonly password: string;
}

/** Where credentials for http(s) come from: `git credential` in the commands. `url` never holds a credential. */
export interface CredentialProvider {
  /** @returns undefined when there is none, or the user declined */
  fill(url: string): Promise<Credential | undefined>;
  /** The server took it: it may be remembered. */
  approve(url: string, credential: Credential): Promise<void>;
  /** The server refused it: it must be forgotten. */
  reject(url: string, credential: Credential): Promise<void>;
}

/** How often and how patiently a passing failure is tried again. */
export interface RetryOptions {
  /** Tries in all, the first included. Default 5. */
  readonly attempts?: number;
  /** No new try so long after the first failure, in milliseconds: a server that hangs costs two tries. Default 60,000. */
  readonly withinMs?: number;
  /** The first pause in milliseconds, doubled each time, jittered between a half and the whole. Default 200. */
  readonly baseMs?: number;
  /** The longest pause in milliseconds; a longer `Retry-After` ends the tries. Default 20,000. */
  readonly maxMs?: number;
}

/** Options of `openBucket`, handed on to the bucket it opens. */
export interface BucketOptions {
  /** For `s3://` URLs: a client of the caller's, who closes it; the URL's endpoint, region and profile do not count. */
  readonly s3Client?: S3Client;
  readonly credentials?: CredentialProvider;
  /** `false`: every failure reaches the caller at once. */
  readonly retry?: RetryOptions | false;
  /** Operations under way at once; a read counts until its body ends. Default 16, for file buckets no limit. */
  readonly concurrency?: number;
  /** How long a server may be silent, in milliseconds; GIT_ODB_TIMEOUT counts more. Default 60,000. */
  readonly idleMs?: number;
}
