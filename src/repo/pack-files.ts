/** The files of a pack under way: made, written, and brought to disk. */

import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { OdbError } from "../errors.js";

/** A block of more pieces is written in one: copying its few bytes takes less time than a list of so many. */
const MOST_PIECES = 256;

/** A new repository that was copied without its empty folders has no `pack`. */
export async function openNew(path: string, directory: string): Promise<FileHandle> {
  try {
    return await open(path, "wx+", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  await mkdir(directory, { recursive: true });
  return open(path, "wx+", 0o600);
}

/** Large pieces leave as they are; many small ones are put together first. */
export async function writePieces(
  handle: FileHandle,
  pieces: readonly Uint8Array[],
  size: number,
  position: number,
): Promise<void> {
  if (pieces.length > MOST_PIECES) return await writeAll(handle, Buffer.concat(pieces, size), position);
  const { bytesWritten } = await handle.writev(pieces, position);
  if (bytesWritten === size) return;
  await writeAll(handle, Buffer.concat(pieces, size).subarray(bytesWritten), position + bytesWritten);
}

export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/** Read only, as git makes packs; readable by those who can read the folder (`core.sharedRepository`). */
export async function packMode(directory: string): Promise<number> {
  return 0o444 & (await stat(directory)).mode;
}

export async function writeDurably(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What is under way looks like what was left behind to a gc that keeps nothing, however new it is. */
export function sweptAway(error: NodeJS.ErrnoException): never {
  if (error.code !== "ENOENT") throw error;
  throw new OdbError(
    "conflict",
    `${error.path} was removed while it was written (git gc --prune=now at the same time?): run this again when that is done`,
    { cause: error },
  );
}

/** Another process has just written the same pack: its mark is as good as ours. */
export function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
