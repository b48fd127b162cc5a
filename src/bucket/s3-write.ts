/** Writing to S3: what way a write takes, removal, copies on the server. */

import { OdbError } from "../errors.js";
import type { Source } from "../object/content.js";
import type { CallOptions, WriteOptions, WriteOutcome } from "./bucket.js";
import { checkKey } from "./keys.js";
import { writeConditional } from "./s3-conditional.js";
import { copyLarge, copySource } from "./s3-copy.js";
import { isAbsent } from "./s3-errors.js";
import { writeMultipart } from "./s3-multipart.js";
import type { Conditions } from "./s3-probe.js";
import { putOnce } from "./s3-put.js";
import { type BucketCheck, headKey } from "./s3-read.js";
import { fullKey, type S3Context } from "./s3-request.js";

/** DeleteObjects takes this many keys. */
const DELETE_LIMIT = 1000;

/**
 * `Bucket.write`.
 *
 * @param probe what the service does with conditions; asked only for a conditional write
 */
export async function writeKey(
  context: S3Context,
  probe: (signal?: AbortSignal) => Promise<Conditions>,
  key: string,
  source: Source,
  options: WriteOptions = {},
): Promise<WriteOutcome> {
  checkKey(key);
  const { ifAbsent = false, ifMatch, signal } = options;
  const what = `write ${context.name}/${key}`;
  if (ifAbsent && ifMatch !== undefined)
    throw new OdbError("invalid", `${what}: it can be absent or have an etag, not both`);
  if (!ifAbsent && ifMatch === undefined) {
    if (source.size > context.limits.onePut) return writeMultipart(context, key, source, options);
    return putOnce(context, key, source, options);
  }
  return writeConditional(context, await probe(signal), key, source, options);
}

/** `Bucket.remove`. */
export async function removeKeys(
  context: S3Context,
  keys: readonly string[],
  { signal }: CallOptions = {},
): Promise<void> {
  for (const key of keys) checkKey(key);
  for (let at = 0; at < keys.length; at += DELETE_LIMIT) {
    const batch = keys.slice(at, at + DELETE_LIMIT);
    const what = `remove ${context.name}/${batch[0]}${batch.length > 1 ? ` and ${batch.length - 1} more` : ""}`;
    if (batch.length === 1) {
      await context.call("DeleteObject", fullKey(context, batch[0] ?? ""), what, signal);
      continue;
    }
    const { Bucket } = fullKey(context, "");
    const places = batch.map((key) => fullKey(context, key).Key);
    const answer = await context.call("DeleteObjects", { Bucket, keys: places }, what, signal);
    const [failed] = (answer.Errors ?? []).filter(({ Code }) => Code !== "NoSuchKey");
    if (failed) throw removalError(what, failed.Key, failed.Code);
  }
}

/** `Bucket.copy`. */
export async function copyKey(
  context: S3Context,
  assertBucket: BucketCheck,
  from: string,
  to: string,
  options: CallOptions = {},
): Promise<boolean> {
  checkKey(from);
  checkKey(to);
  const source = await headKey(context, assertBucket, from, options);
  if (source === undefined) return false;
  // S3 refuses it, and there is nothing to do.
  if (from === to) return true;
  if (source.size > context.limits.oneCopy) return copyLarge(context, source, to, options.signal);
  const CopySource = copySource(context, from);
  try {
    const input = { ...fullKey(context, to), CopySource, ...context.storage };
    await context.call("CopyObject", input, `copy ${context.name}/${from} to ${to}`, options.signal);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

function removalError(what: string, key: string | undefined, code: string | undefined): OdbError {
  const denied = code === "AccessDenied";
  return new OdbError(
    denied ? "denied" : "unavailable",
    `${what}: ${key ?? "a key"} stays (${code ?? "no reason given"})`,
  );
}
