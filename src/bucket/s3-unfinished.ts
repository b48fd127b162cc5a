/** Uploads in parts that nobody finished: they take room, and no listing of keys shows them. */

import { type ErrorCode, OdbError } from "../errors.js";
import type { CallOptions } from "./bucket.js";
import { checkPrefix } from "./keys.js";
import type { S3Calls } from "./s3-calls.js";
import { s3CodeOf } from "./s3-errors.js";
import { fullKey, type S3Context } from "./s3-request.js";
import { partsOf } from "./s3-resume.js";

/** Services that have no such listing say so in many ways. */
const CANNOT: readonly ErrorCode[] = ["denied", "unsupported", "config", "invalid"];

/**
 * `Bucket.removeUnfinished`. An upload is as old as its youngest part: a slow one that goes on is left alone. Where listing
 * or aborting uploads is not allowed or not offered, it is for the bucket's lifecycle rule.
 */
export async function removeUnfinished(
  context: S3Context,
  prefix: string,
  before: Date,
  { signal }: CallOptions = {},
): Promise<number> {
  checkPrefix(prefix);
  let left = 0;
  try {
    for await (const upload of uploads(context, prefix, signal)) {
      if (await isStale(context, upload, before, signal)) await abort(context, upload, signal);
      else left++;
    }
  } catch (error) {
    if (!(error instanceof OdbError && CANNOT.includes(error.code))) throw error;
  }
  return left;
}

interface Unfinished {
  /** Without the bucket's prefix. */
  readonly key: string;
  readonly id: string;
  readonly begun: Date;
}

async function* uploads(
  context: S3Context,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncIterable<Unfinished> {
  const { Bucket, Key: Prefix } = fullKey(context, prefix);
  const root = fullKey(context, "").Key.length;
  const what = `list the uploads of ${context.name}/${prefix}`;
  let marker: Pick<S3Calls["ListMultipartUploads"]["input"], "KeyMarker" | "UploadIdMarker"> | undefined = {};
  while (marker !== undefined) {
    const page: S3Calls["ListMultipartUploads"]["answer"] = await context.call(
      "ListMultipartUploads",
      { Bucket, Prefix, ...marker },
      what,
      signal,
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
      yield { key: Key.slice(root), id: UploadId, begun: Initiated };
    }
    const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
    marker = IsTruncated && KeyMarker !== undefined ? { KeyMarker, UploadIdMarker } : undefined;
  }
}

async function isStale(
  context: S3Context,
  { key, id, begun }: Unfinished,
  before: Date,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (begun > before) return false;
  try {
    const parts = await partsOf(context, key, id, signal);
    return parts.every(({ modified }) => modified === undefined || modified <= before);
  } catch (error) {
    // It was finished, or given up, meanwhile.
    if (s3CodeOf(error) === "NoSuchUpload") return false;
    throw error;
  }
}

async function abort(
  context: S3Context,
  { key, id }: Unfinished,
  signal: AbortSignal | undefined,
): Promise<void> {
  const what = `give up the upload of ${context.name}/${key}`;
  const place = { ...fullKey(context, key), UploadId: id };
  await context.call("AbortMultipartUpload", place, what, signal).catch((error: unknown) => {
    if (s3CodeOf(error) !== "NoSuchUpload") throw error;
  });
}
