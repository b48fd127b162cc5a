/** A write to S3 in one request. */

import type { Source } from "../object/content.js";
import type { WriteOptions, WriteOutcome } from "./bucket.js";
import { withBody } from "./s3-body.js";
import type { RequestBody } from "./s3-calls.js";
import { bareEtag, fullKey, type S3Context, uploadHeaders } from "./s3-request.js";

/** What a conditional write adds. */
export interface PutExtras {
  readonly IfNoneMatch?: string;
  readonly IfMatch?: string;
  /** More user metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Writes a source of at most 5 GiB in one request. */
export async function putOnce(
  context: S3Context,
  key: string,
  source: Source,
  options: WriteOptions,
  { metadata, ...condition }: PutExtras = {},
): Promise<WriteOutcome> {
  const what = `write ${context.name}/${key}`;
  const send = (body: RequestBody) => {
    const recorded = { ...(body.sha256 && { sha256: body.sha256 }), ...options };
    const headers = uploadHeaders(context, recorded, metadata);
    const input = { ...fullKey(context, key), ...headers, ...condition, body };
    return context.call("PutObject", input, what, options.signal);
  };
  const sent = await withBody(source, undefined, what, send, options.sha256);
  return { written: true, ...(sent.answer.ETag !== undefined && { etag: bareEtag(sent.answer.ETag) }) };
}
