/** The bytes of a write on their way in: a private file, whole and on disk before it gets its name. */

import {
  constants,
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  stat,
  unlink,
} from "node:fs/promises";
import { join } from "node:path";
import { OdbError } from "../errors.js";
import type { Source } from "../object/content.js";
import { entryOf, type Folder, fileError, isAbsent } from "./file-path.js";
import { checkSignal, exactly } from "./flow.js";
import { isOwnerGone, ownedName } from "./owner.js";

/** A whole file, on disk, under a private name. */
export interface Staged {
  readonly path: string;
  readonly etag: string;
  readonly mtimeNs: bigint;
}

/** Unfinished files are kept this long after their process died: a day, for whoever looks into the crash. */
const STALE_MS = 24 * 60 * 60 * 1000;

/** Users of a shared bucket cannot remove each other's files: each has a folder of its own, and private. */
export function stagingPath(folder: Folder): string {
  return folder.privatePath(`tmp-${process.getuid?.() ?? 0}`);
}

/**
 * Puts the source's bytes into a new private file, written out to disk. A disposable file of the source becomes
 * that file by a hard link, when it is on the same file system.
 *
 * @throws OdbError integrity, when the source yields another number of bytes than it said
 */
export async function stageSource(
  folder: Folder,
  source: Source,
  what: string,
  signal?: AbortSignal,
): Promise<Staged> {
  const path = join(stagingPath(folder), ownedName());
  const adopted = source.file?.disposable === true && (await adopt(source.file.path, path));
  return finish(path, source.size, what, adopted ? "r+" : "wx", async (file) => {
    if (!adopted) await writeAll(file, source, what, signal);
  });
}

/** Copies a file of the bucket into a new private file. */
export async function stageCopy(folder: Folder, from: string, size: number, what: string): Promise<Staged> {
  const path = join(stagingPath(folder), ownedName());
  await inMadeFolder(path, () => copyFile(from, path, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL));
  return finish(path, size, what, "r+", async () => {});
}

/**
 * Removes what dead processes left. Where it cannot be known whether they are dead, they are so after a day without a sign
 * of life.
 *
 * @param before only what was written last before this time
 * @returns how many files stay because they are younger
 */
export async function removeStale(folder: Folder, before: number = Date.now() - STALE_MS): Promise<number> {
  let left = 0;
  const directory = stagingPath(folder);
  const names = await readdir(directory).catch((error) => {
    if (isAbsent(error)) return [];
    throw fileError(error, directory);
  });
  for (const name of names) {
    const path = join(directory, name);
    const stats = await stat(path).catch(() => undefined);
    const isGone = isOwnerGone(name);
    if (stats === undefined || isGone === false) continue;
    const limit = isGone ? before : Math.min(before, Date.now() - STALE_MS);
    if (stats.mtimeMs <= limit) await unlinkIfThere(path);
    else left++;
  }
  return left;
}

/** Removes a file; one that has gone already is no error. */
export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error) => {
    if (!isAbsent(error)) throw fileError(error, path);
  });
}

/** Writes the file, sets its time, brings it to disk; a failure leaves no file. */
async function finish(
  path: string,
  size: number,
  what: string,
  flags: "wx" | "r+",
  write: (file: FileHandle) => Promise<void>,
): Promise<Staged> {
  let file: FileHandle | undefined;
  try {
    file = await inMadeFolder(path, () => open(path, flags, 0o666));
    await write(file);
    if (flags === "r+") await file.chmod(0o666 & ~process.umask());
    const now = (performance.timeOrigin + performance.now()) / 1000;
    await file.utimes(now, now);
    await file.sync();
    const stats = await file.stat({ bigint: true });
    if (Number(stats.size) !== size) {
      throw new OdbError("integrity", `${what}: the source's file has ${stats.size} bytes, not ${size}`);
    }
    return { path, etag: entryOf("", stats).etag ?? "", mtimeNs: stats.mtimeNs };
  } catch (error) {
    await unlinkIfThere(path);
    throw fileError(error, what);
  } finally {
    await file?.close();
  }
}

async function writeAll(
  file: FileHandle,
  source: Source,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const chunk of exactly(source.open(), source.size, what)) {
    checkSignal(signal, what);
    for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
  }
  checkSignal(signal, what);
}

/** @returns false where that cannot be done (another file system, no hard links): then the bytes are copied */
async function adopt(from: string, to: string): Promise<boolean> {
  try {
    await inMadeFolder(to, () => link(from, to));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EXDEV" || code === "EPERM" || code === "ENOTSUP" || code === "EMLINK") return false;
    throw fileError(error, from);
  }
}

async function inMadeFolder<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    await mkdir(join(path, "../.."), { recursive: true });
    await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
    return act();
  }
}
