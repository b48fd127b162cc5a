/** Conditional writes to S3: one PUT, and the truth about it when the answer leaves it open. */

import { randomUUID } from "node:crypto";
import { isTransient, OdbError } from "../errors.js";
import type { Source } from "../object/content.js";
import type { WriteOptions, WriteOutcome } from "./bucket.js";
import { s3CodeOf, statusOf } from "./s3-errors.js";
import type { Conditions } from "./s3-probe.js";
import { putOnce } from "./s3-put.js";
import { bareEtag, fullKey, type S3Context, WRITE_KEY } from "./s3-request.js";

/**
 * Ids of writes whose fate is unknown: a source that is written again is the same write, tried again, and finds
 * out that it had won the first time.
 */
const unresolved = new WeakMap<Source, string>();

/**
 * Writes only if the condition holds. After a failure that may hide a success (a lost answer), or that is how the
 * service reports a lost race (radosgw's 500), it looks whose write is there: each carries an id.
 *
 * @throws OdbError unsupported, where conditions are not honoured, or above 5 GiB: completing a multipart upload
 *   evaluates no condition on radosgw
 */
export async function writeConditional(
  context: S3Context,
  conditions: Conditions,
  key: string,
  source: Source,
  options: WriteOptions,
): Promise<WriteOutcome> {
  refuseUnsupported(context, conditions, key, source.size);
  const { ifMatch } = options;
  const condition =
    ifMatch === undefined ? { IfNoneMatch: "*" } : { IfMatch: conditions.formatEtag(ifMatch) };
  const id = unresolved.get(source) ?? randomUUID();
  try {
    return await putOnce(context, key, source, options, { ...condition, metadata: { [WRITE_KEY]: id } });
  } catch (error) {
    const lost = statusOf(error) === 412 || (ifMatch !== undefined && s3CodeOf(error) === "NoSuchKey");
    if (lost && !unresolved.has(source)) return { written: false };
    if (!lost && !isTransient(error)) throw error;
    unresolved.set(source, id);
    return await resolve(context, key, source, { id, lost, ...options }, error);
  }
}

function refuseUnsupported(
  { name, limits }: S3Context,
  { honoured }: Conditions,
  key: string,
  size: number,
): void {
  const what = `write ${name}/${key}`;
  if (!honoured)
    throw new OdbError("unsupported", `${what}: this S3 service ignores or refuses conditional writes`);
  if (size > limits.onePutAtMost)
    throw new OdbError(
      "unsupported",
      `${what}: a conditional write takes at most ${limits.onePutAtMost} bytes`,
    );
}

async function resolve(
  context: S3Context,
  key: string,
  source: Source,
  { id, lost, ifMatch, signal }: WriteOptions & { id: string; lost: boolean },
  failure: unknown,
): Promise<WriteOutcome> {
  const current = await currentWrite(context, key, signal);
  if (current?.id === id) {
    unresolved.delete(source);
    return { written: true, etag: current.etag };
  }
  const superseded = ifMatch === undefined ? current !== undefined : current?.etag !== ifMatch;
  if (lost || superseded) return { written: false };
  throw failure;
}

/** ETag and write id of what is there; undefined when nothing is. */
async function currentWrite(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
): Promise<{ etag: string; id: string | undefined } | undefined> {
  try {
    const answer = await context.call(
      "HeadObject",
      fullKey(context, key),
      `look up ${context.name}/${key}`,
      signal,
    );
    return { etag: bareEtag(answer.ETag ?? ""), id: answer.Metadata?.[WRITE_KEY] };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
