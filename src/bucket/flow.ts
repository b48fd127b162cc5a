/** What every bucket needs around its bytes: the check of their number, ranges, and the end by a signal. */

import { OdbError, toOdbError } from "../errors.js";
import type { ByteRange, Content } from "../object/content.js";
import type { WriteOptions } from "./bucket.js";

/**
 * Passes content through and throws unless it is `size` bytes long: before the chunk that is too much, or at
 * the end.
 *
 * @param what names it in the error
 * @throws OdbError integrity
 */
export async function* exactly(content: Content, size: number, what: string): Content {
  let seen = 0;
  for await (const chunk of content) {
    seen += chunk.length;
    if (seen > size) throw new OdbError("integrity", `${what}: more bytes than the ${size} announced`);
    yield chunk;
  }
  if (seen < size) throw new OdbError("integrity", `${what}: it ended after ${seen} of ${size} bytes`);
}

/**
 * The bytes of something `size` bytes long that a range means: `end` is exclusive and never past the size.
 *
 * @throws OdbError invalid, when the range is none
 */
export function resolveRange(range: ByteRange | undefined, size: number): { start: number; end: number } {
  if (range === undefined) return { start: 0, end: size };
  checkRange(range);
  const end = Math.min(range.end ?? size, size);
  return { start: Math.min(range.start, end), end };
}

/** @throws OdbError invalid, when start or end are no positions or end lies before start */
export function checkRange(range: ByteRange): void {
  const { start, end } = range;
  if (Number.isSafeInteger(start) && start >= 0) {
    if (end === undefined || (Number.isSafeInteger(end) && end >= start)) return;
  }
  throw new OdbError("invalid", `${start}-${end ?? ""} is no range of bytes`);
}

/** @throws OdbError invalid, when a write names both conditions */
export function checkConditions(options: WriteOptions, what: string): void {
  if (options.ifAbsent && options.ifMatch !== undefined) {
    throw new OdbError("invalid", `${what}: a write takes one condition, not two`);
  }
}

/** @throws OdbError aborted, when the signal has been given */
export function checkSignal(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw abortedError(what, signal.reason);
}

/** The error of a call that its caller's signal ended. */
export function abortedError(what: string, cause?: unknown): OdbError {
  return new OdbError("aborted", `${what}: interrupted`, { cause });
}

/** Ends content with an `aborted` error at the first chunk after the signal. */
export async function* untilAborted(
  content: Content,
  signal: AbortSignal | undefined,
  what: string,
): Content {
  checkSignal(signal, what);
  for await (const chunk of content) {
    checkSignal(signal, what);
    yield chunk;
  }
}

/** A pause that the signal ends. @throws OdbError aborted */
export function pause(ms: number, signal: AbortSignal | undefined, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    checkSignal(signal, what);
    const stop = () => {
      clearTimeout(timer);
      reject(abortedError(what, signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** `toOdbError`, with a given signal taking precedence over the failure it caused. */
export function failure(error: unknown, what: string, signal?: AbortSignal): OdbError {
  if (signal?.aborted && !(error instanceof OdbError)) return abortedError(what, error);
  return toOdbError(error, what);
}
