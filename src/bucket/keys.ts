/** Keys: which strings may name something in a bucket, and the order in which they are listed. */

import { OdbError } from "../errors.js";

/** In bytes of UTF-8: the limit of S3. */
export const KEY_LIMIT = 1024;

/**
 * Refuses a key that could mean anything else than one place inside the bucket: it must be 1 to 1024 bytes of
 * UTF-8, segments between `/` that are not empty, `.` or `..`, without control characters or backslashes.
 *
 * @throws OdbError invalid
 */
export function checkKey(key: string): void {
  if (key.length <= KEY_LIMIT && ordinary.test(key)) return;
  const fault = faultOf(key) ?? key.split("/").map(segmentFault).find(Boolean);
  if (fault !== undefined) throw new OdbError("invalid", `key ${shown(key)}: ${fault}`);
}

/**
 * Refuses a prefix with which no key can begin. The part behind its last `/` may be any beginning of a segment.
 *
 * @throws OdbError invalid
 */
export function checkPrefix(prefix: string): void {
  if (prefix === "") return;
  const fault = faultOf(prefix) ?? prefix.split("/").slice(0, -1).map(segmentFault).find(Boolean);
  if (fault !== undefined) throw new OdbError("invalid", `key prefix ${shown(prefix)}: ${fault}`);
}

/** Whether {@link checkKey} lets it pass. */
export function isKey(key: string): boolean {
  return faultOf(key) === undefined && !key.split("/").some(segmentFault);
}

/** Order of the keys' UTF-8 bytes. JavaScript's own order differs for characters above U+FFFF. */
export function compareKeys(a: string, b: string): number {
  if (beyondBmp.test(a) || beyondBmp.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Only a surrogate sorts differently as UTF-16 than its character does as UTF-8. */
const beyondBmp = /[\ud800-\udfff]/;

/** What nearly every key is like: no segment begins with a dot, so none is `.` or `..`. */
const ordinary = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

function faultOf(key: string): string | undefined {
  if (key === "") return "a key has at least one character";
  if (Buffer.byteLength(key) > KEY_LIMIT) return `longer than ${KEY_LIMIT} bytes`;
  if (/\p{Cc}/u.test(key)) return "it holds a control character";
  if (/\p{Cs}/u.test(key)) return "it holds half a surrogate pair";
  if (key.includes("\\")) return "it holds a backslash";
  return undefined;
}

function segmentFault(segment: string): string | undefined {
  if (segment === "") return 'it holds an empty segment (no "/" first, last or twice)';
  if (segment === "." || segment === "..") return `the segment "${segment}" could leave the bucket`;
  return undefined;
}

function shown(key: string): string {
  return JSON.stringify(key.length > 100 ? `${key.slice(0, 100)}…` : key);
}
