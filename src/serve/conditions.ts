/** Entity tags, preconditions and ranges of HTTP requests (RFC 9110, 8.8.3, 13.1 and 14). */

import type { IncomingHttpHeaders } from "node:http";
import type { Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { ByteRange } from "../object/content.js";

/** A bucket's opaque etag as a strong entity tag; {@link parseEtag} gives it back. */
export function formatEtag(etag: string): string {
  return `"${encodeURIComponent(etag)}"`;
}

/**
 * The bucket's etag in one entity tag of ours. One that is not ours (or weak, which never proves a version) gives
 * a text that matches nothing.
 *
 * @throws OdbError invalid, when it is no single entity tag
 */
export function parseEtag(tag: string): string {
  const [, weak, text] = /^(W\/)?"([^"]*)"$/.exec(tag.trim()) ?? [];
  if (text === undefined) throw new OdbError("invalid", `${JSON.stringify(tag)} is no single entity tag`);
  if (weak) return tag;
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return tag;
    throw error;
  }
}

/** Whether one of the header's tags, or `*`, is the entry's. Weak tags match only where `weak` says so. */
export function matchesTag(header: string, entry: Entry, weak: boolean): boolean {
  if (header.trim() === "*") return true;
  if (entry.etag === undefined) return false;
  const own = formatEtag(entry.etag);
  return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some(
    (tag) => tag === own || (weak && tag.startsWith("W/") && tag.slice(2) === own),
  );
}

/** Whether reading needs the entry before the bytes. */
export function hasReadCondition(headers: IncomingHttpHeaders): boolean {
  return (
    headers["if-match"] !== undefined ||
    headers["if-none-match"] !== undefined ||
    headers["if-range"] !== undefined ||
    /^bytes=-/.test(headers.range ?? "")
  );
}

/** 412 or 304 when a condition of a GET or HEAD says so. */
export function failedReadCondition(headers: IncomingHttpHeaders, entry: Entry): 412 | 304 | undefined {
  const ifMatch = headers["if-match"];
  if (ifMatch !== undefined && !matchesTag(ifMatch, entry, false)) return 412;
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined && matchesTag(ifNoneMatch, entry, true)) return 304;
  return undefined;
}

/**
 * The range to read; undefined for everything: no range, several, another unit, or an `If-Range` that no longer
 * holds. A suffix needs the entry.
 */
export function requestedRange(headers: IncomingHttpHeaders, entry?: Entry): ByteRange | undefined {
  const ifRange = headers["if-range"];
  if (typeof ifRange === "string" && !(entry && matchesTag(ifRange, entry, false))) return undefined;
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range?.trim() ?? "") ?? [];
  if (first === undefined || last === undefined) return undefined;
  if (first === "") return suffix(last, entry);
  if (last === "") return { start: Number(first) };
  return Number(last) < Number(first) ? undefined : { start: Number(first), end: Number(last) + 1 };
}

function suffix(count: string, entry: Entry | undefined): ByteRange | undefined {
  if (count === "" || entry === undefined) return undefined;
  // "The last 0 bytes" cannot be satisfied: a start at the end says so.
  return { start: Math.max(0, entry.size - Number(count)) };
}
