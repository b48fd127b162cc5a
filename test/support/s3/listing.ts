/** ListObjectsV2: pages in order of the keys' UTF-8 bytes, with prefix, delimiter, start-after and continuation. */

import type { Context } from "./objects.js";
import type { S3Response, StoredObject } from "./types.js";
import { document } from "./xml.js";

interface Page {
  readonly objects: StoredObject[];
  readonly prefixes: string[];
  /** The last key or common prefix on the page; undefined on the last page. */
  readonly next: string | undefined;
}

/** One page. */
export function listObjects({ state, bucket, request }: Context): S3Response {
  const { query } = request;
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const token = query.get("continuation-token");
  const after = token ? Buffer.from(token, "base64url").toString() : (query.get("start-after") ?? "");
  const limit = Math.min(1000, Number(query.get("max-keys") ?? 1000));
  const page = pageOf(state.listed(bucket), { prefix, delimiter, after, limit });
  const shown = query.get("encoding-type") === "url" ? encodeURIComponent : (text: string) => text;
  const body = document("ListBucketResult", {
    Name: request.bucket,
    Prefix: shown(prefix),
    Delimiter: delimiter || undefined,
    KeyCount: page.objects.length + page.prefixes.length,
    MaxKeys: limit,
    EncodingType: query.get("encoding-type"),
    IsTruncated: page.next !== undefined,
    ContinuationToken: token,
    NextContinuationToken: page.next && Buffer.from(page.next).toString("base64url"),
    Contents: page.objects.map((object) => ({
      Key: shown(object.key),
      LastModified: object.modified.toISOString(),
      ETag: `"${object.etag}"`,
      Size: object.size,
      StorageClass: object.headers["x-amz-storage-class"] ?? "STANDARD",
    })),
    CommonPrefixes: page.prefixes.map((text) => ({ Prefix: shown(text) })),
  });
  return { status: 200, body };
}

function pageOf(
  all: readonly StoredObject[],
  { prefix, delimiter, after, limit }: { prefix: string; delimiter: string; after: string; limit: number },
): Page {
  const page = { objects: [] as StoredObject[], prefixes: [] as string[] };
  let last: string | undefined;
  const past = Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0 && after !== "";
  for (const object of all.slice(firstAfter(all, past ? after : prefix, past))) {
    if (!object.key.startsWith(prefix)) break;
    const common = commonPrefix(object.key, prefix, delimiter);
    if (
      common !== undefined &&
      (common === page.prefixes.at(-1) || (after !== "" && after.startsWith(common)))
    )
      continue;
    if (page.objects.length + page.prefixes.length === limit) return { ...page, next: last };
    if (common === undefined) page.objects.push(object);
    else page.prefixes.push(common);
    last = common ?? object.key;
  }
  return { ...page, next: undefined };
}

function commonPrefix(key: string, prefix: string, delimiter: string): string | undefined {
  const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

/** Index of the first key that sorts after `key` (`strictly`), or at it. */
function firstAfter(all: readonly StoredObject[], key: string, strictly: boolean): number {
  const bytes = Buffer.from(key);
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = Buffer.compare(Buffer.from(all[middle]?.key ?? ""), bytes);
    if (order < 0 || (strictly && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}
