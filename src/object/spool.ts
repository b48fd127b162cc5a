/** Bytes set aside until they are complete: in memory while they are few, else in a private temporary file. */

import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { ByteRange, Content, Source } from "./content.js";

/** How {@link spool} keeps bytes. */
export interface SpoolOptions {
  /** Folder of the temporary file; made if absent. Default: the system's. */
  readonly directory?: string;
  /** Of the temporary file. Default: a new one. */
  readonly name?: string;
  /** In bytes; more than this goes to a file. Default 1 MiB. */
  readonly memoryLimit?: number;
  /**
   * Bring the file to disk while it grows, for a receiver that will sync it: what is left to do then is little,
   * and hashing and writing to disk go on side by side.
   */
  readonly sync?: boolean;
  /** Sees every byte once, in order, before the spool is complete; what it throws ends the spool. */
  readonly inspect?: (chunk: Uint8Array) => void;
  /** Ends the spool with an `aborted` error. */
  readonly signal?: AbortSignal;
}

/** Complete bytes that can be read again and in any order, until they are disposed of. */
export interface Spooled extends Source, AsyncDisposable {
  /** The bytes from `start` to `end` (exclusive), which must lie within the size. Owned by the caller. */
  read(start: number, end: number): Promise<Uint8Array>;
}

const MiB = 1024 * 1024;

/** With `sync`, the file is brought to disk in steps of this size. */
const SYNC_STEP = 32 * MiB;

/** Chunks handed out of a file: large enough for one hash call and one pipe write each. */
const READ_CHUNK = 512 * 1024;

/**
 * Takes all of `content`. The temporary file is made with O_EXCL and mode 0600, is not yet durable (who links
 * it into place syncs it), and is gone after disposal, after any failure, or once a receiver renamed it.
 *
 * @throws OdbError full, denied; and whatever `content` or `inspect` throw
 */
export async function spool(content: Content, options: SpoolOptions = {}): Promise<Spooled> {
  const { memoryLimit = MiB, inspect, signal } = options;
  const held: Uint8Array[] = [];
  let size = 0;
  let file: SpoolFile | undefined;
  try {
    for await (const chunk of content) {
      if (signal?.aborted) throw toOdbError(signal.reason);
      size += chunk.length;
      if (file === undefined && size > memoryLimit) {
        file = await createSpoolFile(options);
        for (const early of held.splice(0)) await file.append(early);
      }
      if (file !== undefined) await file.append(chunk);
      else held.push(chunk);
    }
    if (file !== undefined) return await file.finish();
    const bytes = held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held, size);
    inspect?.(bytes);
    return spooledInMemory(bytes);
  } catch (error) {
    await file?.discard();
    throw error;
  }
}

/** Bytes in memory in the shape of a spool; disposal does nothing. */
export function spooledInMemory(bytes: Uint8Array): Spooled {
  return {
    size: bytes.length,
    async *open({ start = 0, end = bytes.length }: ByteRange = { start: 0 }) {
      if (end > start) yield bytes.subarray(start, end);
    },
    read: async (start, end) => bytes.subarray(start, end),
    [Symbol.asyncDispose]: async () => {},
  };
}

interface SpoolFile {
  append(chunk: Uint8Array): Promise<void>;
  finish(): Promise<Spooled>;
  discard(): Promise<void>;
}

/**
 * Gathers what comes into two blocks of 1 MiB in turn: while one is being written by a thread of the pool, the
 * other is filled and hashed on this one.
 */
async function createSpoolFile(options: SpoolOptions): Promise<SpoolFile> {
  const directory = options.directory ?? tmpdir();
  const path = join(directory, options.name ?? `odb-${process.pid}-${randomUUID()}.tmp`);
  const handle = await openNew(path, directory);
  let block = Buffer.allocUnsafe(MiB);
  let spare = Buffer.allocUnsafe(MiB);
  let filled = 0;
  let size = 0;
  let writing: Promise<void> = Promise.resolve();
  let syncing: Promise<void> | undefined;
  let synced = 0;

  /** One at a time; a failure to sync shows again when the receiver syncs. */
  const syncBeside = () => {
    if (!options.sync || syncing !== undefined || size - synced < SYNC_STEP) return;
    synced = size;
    syncing = handle.datasync().then(
      () => {
        syncing = undefined;
      },
      () => {},
    );
  };
  const flush = async () => {
    await writing;
    const full = block.subarray(0, filled);
    writing = writeAll(handle, full, size, path);
    // It is awaited at the next flush; a failure in between is no unhandled one.
    writing.catch(() => {});
    syncBeside();
    size += filled;
    filled = 0;
    [block, spare] = [spare, block];
    options.inspect?.(full);
  };
  const discard = async () => {
    await writing.catch(() => {});
    await syncing;
    await handle.close();
    await rm(path, { force: true });
  };
  return {
    async append(chunk) {
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + MiB - filled);
        block.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === MiB) await flush();
      }
    },
    async finish() {
      if (filled > 0) await flush();
      await writing;
      return spooledInFile(handle, path, size, discard);
    },
    discard,
  };
}

async function openNew(path: string, directory: string): Promise<FileHandle> {
  try {
    return await open(path, "wx+", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw toOdbError(error);
  }
  try {
    await mkdir(directory, { recursive: true });
    return await open(path, "wx+", 0o600);
  } catch (error) {
    throw toOdbError(error);
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number, path: string) {
  try {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
      at += bytesWritten;
    }
  } catch (error) {
    throw toOdbError(error, `write ${path}`);
  }
}

/** Reads by the open file, so that a rename of the path by a receiver does no harm. */
function spooledInFile(
  handle: FileHandle,
  path: string,
  size: number,
  discard: () => Promise<void>,
): Spooled {
  const read = async (start: number, end: number) => {
    const bytes = Buffer.allocUnsafe(end - start);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at);
      if (bytesRead === 0) throw new OdbError("integrity", `${path} was cut short by somebody else`);
      at += bytesRead;
    }
    return bytes;
  };
  return {
    size,
    file: { path, disposable: true },
    async *open({ start = 0, end = size }: ByteRange = { start: 0 }) {
      for (let at = start; at < end; at += READ_CHUNK) yield await read(at, Math.min(at + READ_CHUNK, end));
    },
    read,
    [Symbol.asyncDispose]: discard,
  };
}
