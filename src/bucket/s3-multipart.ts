/** Large writes in parts, a few at a time; an upload that was interrupted goes on where it stopped. */

import { OdbError } from "../errors.js";
import type { Source } from "../object/content.js";
import type { WriteOptions, WriteOutcome } from "./bucket.js";
import { withBody } from "./s3-body.js";
import { s3CodeOf } from "./s3-errors.js";
import { inParallel, retried } from "./s3-parts.js";
import { bareEtag, CHECKSUM_KEY, fullKey, partSize, type S3Context, uploadHeaders } from "./s3-request.js";
import { findUpload } from "./s3-resume.js";
import { completeUpload, type DonePart, type Upload } from "./s3-upload.js";

/**
 * Writes a source in parts of max(16 MiB, ceil(size / 10000)), streamed. When the process dies, or the network
 * for too long, the parts stay in the bucket; the next write of the same bytes to this key finds the upload,
 * proves its parts by size and MD5, and sends only what is missing.
 *
 * @throws OdbError integrity, when the source fails; the upload is then aborted
 */
export async function writeMultipart(
  context: S3Context,
  key: string,
  source: Source,
  options: WriteOptions,
): Promise<WriteOutcome> {
  const found = await findUpload(context, key, source, options.signal);
  if (found) {
    const outcome = await resume(context, found, source, options);
    if (outcome) return outcome;
  }
  return send(context, await create(context, key, options), source, options);
}

/** @returns undefined when it has to be written anew: somebody ended the upload, or it was one of other content */
async function resume(
  context: S3Context,
  upload: Upload,
  source: Source,
  options: WriteOptions,
): Promise<WriteOutcome | undefined> {
  try {
    const outcome = await send(context, upload, source, options);
    return (await recordedChecksum(context, upload, options)) === options.sha256 ? outcome : undefined;
  } catch (error) {
    const gone = ["NoSuchUpload", "InvalidPart", "InvalidPartOrder"].includes(s3CodeOf(error) ?? "");
    if (gone) return undefined;
    throw error;
  }
}

/** The metadata of an upload is that of whoever began it: it must not vouch for other bytes. */
async function recordedChecksum(
  context: S3Context,
  { key }: Upload,
  { signal }: WriteOptions,
): Promise<string | undefined> {
  const what = `look up ${context.name}/${key}`;
  const answer = await context.call("HeadObject", fullKey(context, key), what, signal);
  return answer.Metadata?.[CHECKSUM_KEY];
}

/** Begins an upload. */
export async function create(context: S3Context, key: string, options: WriteOptions): Promise<Upload> {
  const what = `begin to upload ${context.name}/${key}`;
  const place = { ...fullKey(context, key), ...uploadHeaders(context, options) };
  const answer = await context.call("CreateMultipartUpload", place, what, options.signal);
  if (answer.UploadId === undefined) throw new OdbError("unavailable", `${what}: no upload id came back`);
  return { key, id: answer.UploadId, done: new Map() };
}

async function send(
  context: S3Context,
  upload: Upload,
  source: Source,
  { signal }: WriteOptions,
): Promise<WriteOutcome> {
  const length = partSize(source.size, context.limits.part);
  const count = Math.ceil(source.size / length);
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((n) => !upload.done.has(n));
  try {
    await inParallel(missing, signal, async (number, stop) => {
      const range = { start: (number - 1) * length, end: Math.min(number * length, source.size) };
      upload.done.set(number, await sendPart(context, upload, number, source, range, stop));
    });
  } catch (error) {
    if (isOfSource(error)) await abandon(context, upload);
    throw error;
  }
  return { written: true, etag: await completeUpload(context, upload, signal) };
}

/** Sends one part, tried again while the service falters. */
export function sendPart(
  context: S3Context,
  upload: Upload,
  number: number,
  source: Source,
  range: { start: number; end: number },
  signal: AbortSignal,
): Promise<DonePart> {
  const what = `write ${context.name}/${upload.key} (part ${number})`;
  const part = { ...fullKey(context, upload.key), UploadId: upload.id, PartNumber: number };
  return retried(what, signal, async () => {
    const { answer, md5 } = await withBody(source, range, what, (body) =>
      context.call("UploadPart", { ...part, body }, what, signal),
    );
    const { ChecksumCRC32 } = answer;
    return { etag: bareEtag(answer.ETag ?? md5), md5, ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }) };
  });
}

/** Parts of a source that fails are of no use to anyone. */
export async function abandon(context: S3Context, upload: Upload): Promise<void> {
  const what = `give up the upload of ${context.name}/${upload.key}`;
  const place = { ...fullKey(context, upload.key), UploadId: upload.id };
  await context
    .call("AbortMultipartUpload", place, what, undefined)
    // The source's failure is what the caller must see; the bucket's lifecycle rule sweeps the rest.
    .catch(() => {});
}

/** A failure that is not the service's: no upload of this source can be continued. */
function isOfSource(error: unknown): boolean {
  return !(error instanceof OdbError) || error.code === "integrity" || error.code === "invalid";
}
