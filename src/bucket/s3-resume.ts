/** Finds an interrupted upload of the same bytes to the same key, and proves the parts it has. */

import { OdbError } from "../errors.js";
import type { Source } from "../object/content.js";
import { md5Of } from "./s3-body.js";
import type { S3Calls } from "./s3-calls.js";
import { s3CodeOf } from "./s3-errors.js";
import { bareEtag, fullKey, partSize, type S3Context } from "./s3-request.js";
import type { DonePart, Upload } from "./s3-upload.js";

/** A part as the service lists it. */
interface ListedPart extends DonePart {
  readonly number: number;
  readonly size: number;
  readonly modified?: Date;
}

/** So many unfinished uploads of one key are looked at, the newest first. */
const CANDIDATES = 3;

/**
 * The newest unfinished upload of the key whose every part is of our layout and has the MD5 of the same bytes of
 * `source`. Under KMS an ETag is no MD5 and nothing can be proved: then none is.
 *
 * @returns undefined too where listing uploads is not allowed or not offered
 */
export async function findUpload(
  context: S3Context,
  key: string,
  source: Source,
  signal: AbortSignal | undefined,
): Promise<Upload | undefined> {
  if (context.location.sse?.startsWith("aws:kms")) return undefined;
  try {
    for (const id of await unfinished(context, key, signal)) {
      const done = await proved(source, await partsOf(context, key, id, signal), context.limits.part);
      if (done) return { key, id, done };
    }
  } catch (error) {
    const cannot = error instanceof OdbError && (error.code === "denied" || error.code === "unsupported");
    if (!cannot && s3CodeOf(error) !== "NoSuchUpload") throw error;
  }
  return undefined;
}

/** Ids of the unfinished uploads of exactly this key, the newest first. */
async function unfinished(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const { Bucket, Key } = fullKey(context, key);
  const what = `list the uploads of ${context.name}/${key}`;
  const answer = await context.call("ListMultipartUploads", { Bucket, Prefix: Key }, what, signal);
  return (answer.Uploads ?? [])
    .filter((upload) => upload.Key === Key)
    .sort((a, b) => (b.Initiated?.getTime() ?? 0) - (a.Initiated?.getTime() ?? 0))
    .flatMap((upload) => upload.UploadId ?? [])
    .slice(0, CANDIDATES);
}

/** The parts that an upload has. @throws an error of code NoSuchUpload, when it is over */
export async function partsOf(
  context: S3Context,
  key: string,
  id: string,
  signal: AbortSignal | undefined,
): Promise<readonly ListedPart[]> {
  const what = `list the parts of ${context.name}/${key}`;
  const parts: ListedPart[] = [];
  let PartNumberMarker: string | undefined;
  do {
    const place = { ...fullKey(context, key), UploadId: id, PartNumberMarker };
    const page: S3Calls["ListParts"]["answer"] = await context.call("ListParts", place, what, signal);
    for (const { PartNumber, Size, ETag, ChecksumCRC32, LastModified: modified } of page.Parts ?? []) {
      const etag = bareEtag(ETag ?? "");
      const checksum = ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 };
      const time = modified && { modified };
      parts.push({ number: PartNumber ?? 0, size: Size ?? -1, etag, ...checksum, ...time });
    }
    PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
  } while (PartNumberMarker !== undefined);
  return parts;
}

/** The parts by number when all of them are the source's own; undefined when there are none, or one is not. */
async function proved(
  source: Source,
  parts: readonly ListedPart[],
  least: number,
): Promise<Map<number, DonePart> | undefined> {
  const length = partSize(source.size, least);
  const done = new Map<number, DonePart>();
  for (const { number, size, modified: _, ...part } of parts) {
    const start = (number - 1) * length;
    const end = Math.min(start + length, source.size);
    if (number < 1 || size !== end - start) return undefined;
    if ((await md5Of(source, { start, end })) !== part.etag) return undefined;
    done.set(number, part);
  }
  return done.size > 0 ? done : undefined;
}
