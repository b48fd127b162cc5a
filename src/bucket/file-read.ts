/** Reading a file of a bucket: small ones at once, large ones in chunks read one ahead. */

import { type BigIntStats, closeSync, constants, fstatSync, openSync, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { OdbError } from "../errors.js";
import { type Content, contentOf } from "../object/content.js";
import type { Body, ReadOptions } from "./bucket.js";
import { entryOf, type Folder, fileError, isAbsent } from "./file-path.js";
import { checkSignal, exactly, resolveRange } from "./flow.js";

const readAsync = promisify(read);

/** A small file costs 12 µs by four calls in this thread, 90 µs through the thread pool (Node 20). */
const SMALL = 128 * 1024;

/** Larger chunks gain nothing any more; smaller ones cost calls. */
const CHUNK = 512 * 1024;

/** O_NONBLOCK: opening a fifo must not hang. */
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** @returns undefined when there is no file at `key` */
export function readFile(folder: Folder, key: string, what: string, options: ReadOptions): Body | undefined {
  const opened = open(folder, key, what);
  if (opened === undefined) return undefined;
  const { fd, stats } = opened;
  let keep = false;
  try {
    if (stats.isDirectory()) return undefined;
    if (!stats.isFile()) throw new OdbError("denied", `${what}: not a plain file`);
    const entry = entryOf(key, stats);
    const { start, end } = resolveRange(options.range, entry.size);
    if (end - start <= SMALL) return { entry, content: contentOf(readSmall(fd, start, end, what)) };
    keep = true;
    return { entry, content: exactly(chunks(fd, start, end, what, options.signal), end - start, what) };
  } finally {
    if (!keep) closeSync(fd);
  }
}

function open(folder: Folder, key: string, what: string): { fd: number; stats: BigIntStats } | undefined {
  try {
    const fd = folder.openAt(key, (path) => openSync(path, FLAGS));
    return { fd, stats: fstatSync(fd, { bigint: true }) };
  } catch (error) {
    if (error instanceof OdbError) throw error;
    if (isAbsent(error)) return undefined;
    throw fileError(error, what);
  }
}

function readSmall(fd: number, start: number, end: number, what: string): Buffer {
  const buffer = Buffer.allocUnsafe(end - start);
  try {
    for (let at = 0; at < buffer.length; ) {
      const count = readSync(fd, buffer, at, buffer.length - at, start + at);
      if (count === 0)
        throw new OdbError("integrity", `${what}: it ended after ${at} of ${buffer.length} bytes`);
      at += count;
    }
    return buffer;
  } catch (error) {
    throw fileError(error, what);
  }
}

/** Owns `fd`: closes it when done, failed or left early. */
async function* chunks(
  fd: number,
  start: number,
  end: number,
  what: string,
  signal: AbortSignal | undefined,
): Content {
  const readAt = (at: number) =>
    readAsync(fd, Buffer.allocUnsafeSlow(Math.min(CHUNK, end - at)), 0, Math.min(CHUNK, end - at), at);
  let ahead = readAt(start);
  try {
    for (let at = start; at < end; ) {
      checkSignal(signal, what);
      const { bytesRead, buffer } = await ahead;
      if (bytesRead === 0) return;
      at += bytesRead;
      if (at < end) ahead = readAt(at);
      // Its failure is thrown when it is awaited; until then it must not count as unhandled.
      ahead.catch(() => {});
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw fileError(error, what);
  } finally {
    await ahead.catch(() => {});
    closeSync(fd);
  }
}
