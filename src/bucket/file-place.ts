/** Giving a staged file its name, or taking a name away: atomic, conditional, and on disk when done. */

import { createHash } from "node:crypto";
import { link, mkdir, open, rename, rmdir, unlink, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { OdbError } from "../errors.js";
import type { WriteOptions, WriteOutcome } from "./bucket.js";
import { type HeldLock, takeLock } from "./file-lock.js";
import { entryAt, type Folder, fileError, isAbsent } from "./file-path.js";
import type { Staged } from "./file-stage.js";

/** What a placement needs of its bucket. */
export interface Placing {
  readonly folder: Folder;
  readonly syncDirectory: (path: string) => Promise<void>;
}

/**
 * Names a staged file. Of several processes that name one key at once, each sees a whole order: link(2) makes only
 * what is absent, and whatever replaces or removes a file does so under the key's lock, so that between the look
 * at an etag and the rename nothing can change. The staged name may be left, for the caller to remove.
 */
export async function place(
  at: Placing,
  staged: Staged,
  key: string,
  what: string,
  options: WriteOptions,
): Promise<WriteOutcome> {
  const path = at.folder.pathOf(key);
  if (options.ifMatch === undefined) {
    const made = await linkNew(at, staged.path, path, what);
    if (made === "made") return { written: true, etag: staged.etag };
    if (made === "there" && options.ifAbsent) return absentOrConflict(path, key, what);
  }
  return replace(at, staged, key, what, options);
}

/** Whether replacing can be made safe against others here: whether the file system has symbolic links. */
export async function canLock(folder: Folder, signal?: AbortSignal): Promise<boolean> {
  const lock = await takeLock(folder.privatePath("locks", "probe"), signal);
  await lock?.release();
  return lock !== undefined;
}

/** Removes a file if there is one, under its key's lock. Not yet on disk: {@link Placing.syncDirectory} does that. */
export async function removeFile(
  at: Placing,
  key: string,
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  const path = at.folder.pathOf(key);
  if (entryAt(path, key, what) === undefined) return;
  const lock = await lockOf(at.folder, key, what, signal);
  try {
    await unlink(path);
  } catch (error) {
    if (!isAbsent(error)) throw fileError(error, what);
  } finally {
    await lock?.release();
  }
}

/** Brings a removal to disk, and removes the folders that it left empty. */
export async function settleRemoval(at: Placing, directory: string): Promise<void> {
  let dir = directory;
  try {
    for (; dir !== at.folder.root(); dir = dirname(dir)) await rmdir(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw fileError(error, dir);
  }
  await at.syncDirectory(dir);
}

/** Brings folders to disk; those who ask while one is being written share the next turn. */
export function directorySync(): (path: string) => Promise<void> {
  const running = new Map<string, Promise<void>>();
  const waiting = new Map<string, Promise<void>>();
  return (path) => {
    const joined = waiting.get(path);
    if (joined !== undefined) return joined;
    const turn = (async () => {
      await running.get(path)?.catch(() => {});
      waiting.delete(path);
      const run = sync(path);
      running.set(path, run);
      try {
        await run;
      } finally {
        if (running.get(path) === run) running.delete(path);
      }
    })();
    waiting.set(path, turn);
    return turn;
  };
}

async function replace(
  at: Placing,
  staged: Staged,
  key: string,
  what: string,
  options: WriteOptions,
): Promise<WriteOutcome> {
  const path = at.folder.pathOf(key);
  const lock = await lockOf(at.folder, key, what, options.signal);
  let etag = staged.etag;
  try {
    if ((options.ifMatch !== undefined || options.ifAbsent) && lock === undefined) {
      throw new OdbError(
        "unsupported",
        `${what}: no conditional writes on this file system (no symbolic links)`,
      );
    }
    const found = entryAt(path, key, what);
    if (options.ifMatch !== undefined && found?.etag !== options.ifMatch) return { written: false };
    if (options.ifAbsent && found) return { written: false };
    if (found && staged.mtimeNs <= found.mtimeNs) etag = await makeLater(staged.path, found.mtimeNs, what);
    if (lock && !(await lock.isHeld())) {
      throw new OdbError("unavailable", `${what}: this process stood still for too long; try again`);
    }
    await inMadeFolder(at, path, () => rename(staged.path, path));
  } catch (error) {
    throw fileError(error, what);
  } finally {
    await lock?.release();
  }
  await at.syncDirectory(dirname(path));
  return { written: true, etag };
}

/** `unsupported`: this file system has no hard links; then everyone on it goes by the lock. */
async function linkNew(
  at: Placing,
  from: string,
  path: string,
  what: string,
): Promise<"made" | "there" | "unsupported"> {
  try {
    await inMadeFolder(at, path, () => link(from, path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return "there";
    if (code === "EPERM" || code === "ENOSYS" || code === "ENOTSUP") return "unsupported";
    throw fileError(error, what);
  }
  await at.syncDirectory(dirname(path));
  return "made";
}

/** The outcome of a link that found its name taken: by a file, or by the folder of other keys. */
function absentOrConflict(path: string, key: string, what: string): WriteOutcome {
  if (entryAt(path, key, what) !== undefined) return { written: false };
  throw new OdbError("conflict", `${what}: keys below it are there, so it cannot be a file`);
}

/** A version's time must be later than its predecessor's: two of one inode number and size would look alike. */
async function makeLater(path: string, than: bigint, what: string): Promise<string> {
  const seconds = Number(than / 1000n + 2n) / 1e6;
  await utimes(path, seconds, seconds);
  const later = entryAt(path, "", what);
  if (later && later.mtimeNs > than && later.etag !== undefined) return later.etag;
  throw new OdbError(
    "unsupported",
    `${what}: this file system keeps file times too coarsely to tell versions apart`,
  );
}

function lockOf(
  folder: Folder,
  key: string,
  what: string,
  signal?: AbortSignal,
): Promise<HeldLock | undefined> {
  const stripe = createHash("sha256").update(key).digest("hex").slice(0, 3);
  return takeLock(folder.privatePath("locks", stripe), signal, what);
}

/** Makes the folders above `path` if they are missing, durably; again if a removal takes them away meanwhile. */
async function inMadeFolder(at: Placing, path: string, act: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || tries === 10) throw error;
    }
    const made = await mkdir(dirname(path), { recursive: true });
    if (made === undefined) continue;
    for (let dir = dirname(path); dir.length >= made.length; dir = dirname(dir)) {
      await at.syncDirectory(dirname(dir));
    }
  }
}

async function sync(path: string): Promise<void> {
  try {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    // Gone again: whoever removed it has that brought to disk. EINVAL: a file system without fsync of folders.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EINVAL") throw fileError(error, path);
  }
}
