/** Reading from S3: look-ups, ranges, listings; an absent key is never mistaken for an absent bucket. */

import { OdbError } from "../errors.js";
import type { Body, CallOptions, Entry, ListOptions, ReadOptions } from "./bucket.js";
import { checkRange } from "./flow.js";
import { checkKey, checkPrefix, isKey } from "./keys.js";
import type { S3Calls } from "./s3-calls.js";
import { isAbsent, s3CodeOf, statusOf } from "./s3-errors.js";
import { PROBE_FOLDER } from "./s3-probe.js";
import { bareEtag, CHECKSUM_KEY, fullKey, type S3Context } from "./s3-request.js";

/** Whether the bucket itself is there: throws `config` when it is not. */
export type BucketCheck = (signal?: AbortSignal) => Promise<void>;

/**
 * A HEAD says 404 of a key and of a bucket alike: this asks once whether the bucket is there, so that a wrong
 * bucket never looks like an absent object. Whoever may not ask (403) has been let in by the bucket already.
 */
export function bucketCheck({ name, location, call }: S3Context): BucketCheck {
  let known = false;
  return async (signal) => {
    if (known) return;
    try {
      await call("HeadBucket", { Bucket: location.bucket }, `look for ${name}`, signal);
    } catch (error) {
      if (statusOf(error) === 404)
        throw new OdbError(
          "config",
          `${name}: there is no bucket ${location.bucket}: create it, or mend the URL`,
          {
            cause: error,
          },
        );
      if (statusOf(error) !== 403) throw error;
    }
    known = true;
  };
}

/** `Bucket.head`. */
export async function headKey(
  context: S3Context,
  assertBucket: BucketCheck,
  key: string,
  { signal }: CallOptions = {},
): Promise<Entry | undefined> {
  checkKey(key);
  try {
    const what = `look up ${context.name}/${key}`;
    const answer = await context.call("HeadObject", fullKey(context, key), what, signal);
    return entryOf(key, answer.ContentLength ?? 0, answer);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    await assertBucket(signal);
    return undefined;
  }
}

/** `Bucket.read`. */
export async function readKey(
  context: S3Context,
  assertBucket: BucketCheck,
  key: string,
  { range, signal }: ReadOptions = {},
): Promise<Body | undefined> {
  checkKey(key);
  if (range !== undefined) checkRange(range);
  const emptyBody = async () => {
    const entry = await headKey(context, assertBucket, key, signal === undefined ? {} : { signal });
    return entry && { entry, content: nothing() };
  };
  if (range?.end !== undefined && range.end === range.start) return emptyBody();
  const Range = range && `bytes=${range.start}-${range.end === undefined ? "" : range.end - 1}`;
  const what = `read ${context.name}/${key}`;
  try {
    const place = { ...fullKey(context, key), ...(Range && { Range }) };
    const answer = await context.call("GetObject", place, what, signal);
    const length = answer.ContentLength ?? 0;
    const total = /\/(\d+)$/.exec(answer.ContentRange ?? "")?.[1];
    const ignored = Range !== undefined && total === undefined;
    if (ignored) {
      // Lets go of the connection.
      for await (const _ of answer.content) break;
      throw new OdbError("unsupported", `${what}: the service does not serve ranges`);
    }
    const entry = entryOf(key, total === undefined ? length : Number(total), answer);
    return { entry, content: answer.content };
  } catch (error) {
    if (statusOf(error) === 416) return emptyBody();
    if (!isAbsent(error)) throw error;
    if (s3CodeOf(error) !== "NoSuchKey") await assertBucket(signal);
    return undefined;
  }
}

/** `Bucket.list`. */
export async function* listKeys(
  context: S3Context,
  prefix: string,
  { after, signal }: ListOptions = {},
): AsyncIterable<Entry> {
  checkPrefix(prefix);
  const { Bucket, Key: Prefix } = fullKey(context, prefix);
  const root = fullKey(context, "").Key.length;
  const what = `list ${context.name}/${prefix}`;
  let ContinuationToken: string | undefined;
  do {
    const from =
      ContinuationToken === undefined
        ? after && { StartAfter: fullKey(context, after).Key }
        : { ContinuationToken };
    const input = { Bucket, Prefix, MaxKeys: context.limits.page, ...from };
    const page: S3Calls["ListObjectsV2"]["answer"] = await context.call("ListObjectsV2", input, what, signal);
    for (const object of page.Contents ?? []) {
      const key = object.Key?.slice(root) ?? "";
      if (!isKey(key) || key.startsWith(PROBE_FOLDER)) continue;
      yield entryOf(key, object.Size ?? 0, object);
    }
    ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (ContinuationToken !== undefined);
}

interface EntryFacts {
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly Metadata?: Record<string, string> | undefined;
}

function entryOf(key: string, size: number, facts: EntryFacts): Entry {
  const sha256 = facts.Metadata?.[CHECKSUM_KEY];
  return {
    key,
    size,
    ...(facts.ETag !== undefined && { etag: bareEtag(facts.ETag) }),
    ...(facts.LastModified !== undefined && { modified: facts.LastModified }),
    ...(sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256) && { sha256 }),
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
