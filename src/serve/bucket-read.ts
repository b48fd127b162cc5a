/** The reading half of the bucket dialect: GET and HEAD of a key, and the listing (docs/http-dialect.md). */

import type { Bucket, Entry } from "../bucket/bucket.js";
import { checkPrefix, KEY_LIMIT } from "../bucket/keys.js";
import { OdbError } from "../errors.js";
import type { ByteRange } from "../object/content.js";
import { type Answer, parsing, textAnswer } from "./answer.js";
import { failedReadCondition, formatEtag, hasReadCondition, requestedRange } from "./conditions.js";
import type { Exchange } from "./exchange.js";

/** Lines of one page of a listing: at most, and when nothing is asked. */
const PAGE = 10_000;

/** Answers GET or HEAD of a key: plain HTTP, as any static server would. */
export async function readKey(bucket: Bucket, key: string, exchange: Exchange): Promise<Answer> {
  const { request, signal } = exchange;
  const isHead = request.method === "HEAD";
  const known = isHead || hasReadCondition(request.headers) ? await bucket.head(key, { signal }) : undefined;
  if (known) {
    const failed = failedReadCondition(request.headers, known);
    if (failed === 304) return { status: 304, headers: validators(known) };
    if (failed === 412) return textAnswer(412, `${key} is another version`);
    if (isHead) return { status: 200, headers: { ...described(known), "content-length": known.size } };
  }
  if (isHead) return notFound(key);
  return readContent(bucket, key, requestedRange(request.headers, known), exchange);
}

/** Answers `GET /<folder>?list`. @param folder empty, or ends in `/`; the listing is of its keys, and without it */
export async function listKeys(bucket: Bucket, folder: string, exchange: Exchange): Promise<Answer> {
  const { query } = exchange.target;
  const page = parsing(() => parsePage(query));
  if ("refusal" in page) return page.refusal;
  const { prefix, after, limit } = page.value;
  const lines: string[] = [];
  let last: string | undefined;
  let more = false;
  const options = { signal: exchange.signal, ...(after && { after: folder + after }) };
  for await (const entry of bucket.list(folder + prefix, options)) {
    more = lines.length === limit;
    if (more) break;
    last = entry.key.slice(folder.length);
    lines.push(`${formatEntry({ ...entry, key: last })}\n`);
  }
  const next = more && last !== undefined ? { "x-odb-next": encodeURIComponent(last) } : {};
  return { status: 200, headers: { "content-type": "application/x-ndjson", ...next }, body: lines.join("") };
}

async function readContent(
  bucket: Bucket,
  key: string,
  range: ByteRange | undefined,
  exchange: Exchange,
): Promise<Answer> {
  const { signal } = exchange;
  const body = await bucket.read(key, range ? { range, signal } : { signal });
  if (!body) return notFound(key);
  const { size } = body.entry;
  if (!range) {
    return { status: 200, headers: { ...described(body.entry), "content-length": size }, body: body.content };
  }
  const { start, end } = { start: range.start, end: Math.min(range.end ?? size, size) };
  if (start >= size) {
    // Content past the end is empty: asking for it once closes whatever is open behind it.
    for await (const _ of body.content) break;
    return textAnswer(416, `${key} has ${size} bytes`, { "content-range": `bytes */${size}` });
  }
  const part = { "content-range": `bytes ${start}-${end - 1}/${size}`, "content-length": end - start };
  return { status: 206, headers: { ...described(body.entry), ...part }, body: body.content };
}

function parsePage(query: URLSearchParams): { prefix: string; after: string | undefined; limit: number } {
  const prefix = query.get("prefix") ?? "";
  checkPrefix(prefix);
  const after = query.get("after") || undefined;
  // It need not be a key: it is only compared.
  if (after !== undefined && Buffer.byteLength(after) > KEY_LIMIT) {
    throw new OdbError("invalid", `after= takes at most ${KEY_LIMIT} bytes`);
  }
  const limit = /^[1-9]\d*$/.test(query.get("limit") ?? "") ? Number(query.get("limit")) : PAGE;
  return { prefix, after, limit: Math.min(limit, PAGE) };
}

function formatEntry({ key, size, etag, modified }: Entry): string {
  return JSON.stringify({ key, size, etag: etag && formatEtag(etag), modified: modified?.toISOString() });
}

function notFound(key: string): Answer {
  return textAnswer(404, `${key}: not here`);
}

function described(entry: Entry): Record<string, string> {
  return {
    ...validators(entry),
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
    ...(entry.sha256 && { "x-odb-sha256": entry.sha256 }),
  };
}

function validators({ etag, modified }: Entry): Record<string, string> {
  return {
    ...(etag !== undefined && { etag: formatEtag(etag) }),
    ...(modified && { "last-modified": modified.toUTCString() }),
  };
}
