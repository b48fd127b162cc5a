/** A multipart upload under way, and its completion: also when the answer to it is lost. */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import { s3CodeOf } from "./s3-errors.js";
import { bareEtag, fullKey, type S3Context } from "./s3-request.js";

/** A part that the service has. */
export interface DonePart {
  /** As the service gave it, without quotes. */
  readonly etag: string;
  /** Hex; absent for a part that was copied on the server. */
  readonly md5?: string;
  /** Base64, where the service reported one: it wants it back. */
  readonly ChecksumCRC32?: string;
}

/** An upload and its parts by number. */
export interface Upload {
  readonly key: string;
  readonly id: string;
  readonly done: Map<number, DonePart>;
}

/** Makes the parts one object. @returns its ETag, without quotes */
export async function completeUpload(
  context: S3Context,
  upload: Upload,
  signal: AbortSignal | undefined,
): Promise<string> {
  const parts = [...upload.done].sort(([a], [b]) => a - b);
  const Parts = parts.map(([PartNumber, { etag, ChecksumCRC32 }]) => ({
    PartNumber,
    ETag: `"${etag}"`,
    ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }),
  }));
  const what = `finish the upload of ${context.name}/${upload.key}`;
  const place = { ...fullKey(context, upload.key), UploadId: upload.id };
  try {
    const input = { ...place, MultipartUpload: { Parts } };
    const answer = await context.call("CompleteMultipartUpload", input, what, signal);
    return bareEtag(answer.ETag ?? "");
  } catch (error) {
    const expected = expectedEtag(parts.map(([, part]) => part));
    if (mayBeDone(error) && (await currentEtag(context, upload.key, signal)) === expected) return expected;
    throw error;
  }
}

/** A lost answer, or an upload that somebody else has completed with these very parts. */
function mayBeDone(error: unknown): boolean {
  return s3CodeOf(error) === "NoSuchUpload" || (error instanceof OdbError && error.code === "unavailable");
}

/** MD5 of the parts' MD5s, as S3 makes the ETag of an upload (unless KMS encrypts it). */
function expectedEtag(parts: readonly DonePart[]): string {
  const hash = createHash("md5");
  for (const { etag } of parts) hash.update(Buffer.from(etag, "hex"));
  return `${hash.digest("hex")}-${parts.length}`;
}

async function currentEtag(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const what = `look up ${context.name}/${key}`;
    const answer = await context.call("HeadObject", fullKey(context, key), what, signal);
    return bareEtag(answer.ETag ?? "");
  } catch {
    // Absent or out of reach: the completion's own failure is what the caller gets to see.
    return undefined;
  }
}
