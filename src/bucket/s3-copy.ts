/** Copies inside S3 of objects too large for CopyObject: in parts, on the server, metadata kept. */

import { OdbError } from "../errors.js";
import type { Entry } from "./bucket.js";
import { isAbsent } from "./s3-errors.js";
import { inParallel, retried } from "./s3-parts.js";
import { bareEtag, fullKey, partSize, type S3Context } from "./s3-request.js";
import { completeUpload, type Upload } from "./s3-upload.js";

/** @param source as `head` gave it: should it change meanwhile, the copy fails. @returns false when it is gone */
export async function copyLarge(
  context: S3Context,
  source: Entry,
  to: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const upload = await begin(context, source, to, signal);
    const length = partSize(source.size, context.limits.copyPart);
    const numbers = Array.from({ length: Math.ceil(source.size / length) }, (_, index) => index + 1);
    await inParallel(numbers, signal, async (number, stop) => {
      const range = { start: (number - 1) * length, end: Math.min(number * length, source.size) };
      upload.done.set(number, { etag: await copyPart(context, source, upload, number, range, stop) });
    });
    await completeUpload(context, upload, signal);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

async function begin(
  context: S3Context,
  source: Entry,
  to: string,
  signal: AbortSignal | undefined,
): Promise<Upload> {
  const what = `copy ${context.name}/${source.key} to ${to}`;
  const { ContentType, Metadata } = await context.call(
    "HeadObject",
    fullKey(context, source.key),
    what,
    signal,
  );
  const kept = { ...(ContentType !== undefined && { ContentType }), ...(Metadata && { Metadata }) };
  const place = { ...fullKey(context, to), ...context.storage, ...kept };
  const { UploadId: id } = await context.call("CreateMultipartUpload", place, what, signal);
  if (id === undefined) throw new OdbError("unavailable", `${what}: no upload id came back`);
  return { key: to, id, done: new Map() };
}

function copyPart(
  context: S3Context,
  source: Entry,
  upload: Upload,
  number: number,
  range: { start: number; end: number },
  signal: AbortSignal,
): Promise<string> {
  const what = `copy ${context.name}/${source.key} to ${upload.key} (part ${number})`;
  return retried(what, signal, async () => {
    const part = {
      ...fullKey(context, upload.key),
      UploadId: upload.id,
      PartNumber: number,
      CopySource: copySource(context, source.key),
      CopySourceRange: `bytes=${range.start}-${range.end - 1}`,
    };
    const answer = await context.call("UploadPartCopy", part, what, signal);
    return bareEtag(answer.CopyPartResult?.ETag ?? "");
  });
}

/** `<bucket>/<key>`, encoded, as the header `x-amz-copy-source` wants it. */
export function copySource(context: S3Context, key: string): string {
  const { Bucket, Key } = fullKey(context, key);
  return `${Bucket}/${Key.split("/").map(encodeURIComponent).join("/")}`;
}
