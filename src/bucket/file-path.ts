/** From keys to paths: the folder of a file bucket, and the guard that no symbolic link leads out of it. */

import { type BigIntStats, closeSync, lstatSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { OdbError } from "../errors.js";
import type { Entry } from "./bucket.js";
import { failure } from "./flow.js";
import { checkKey } from "./keys.js";

/** First segment of what the bucket keeps for itself: unfinished files and locks. No key may begin with it. */
export const PRIVATE = ".git-odb";

/** The folder of a bucket. */
export interface Folder {
  /** For messages. */
  readonly name: string;
  /** Its real path. @throws OdbError config, when it is not there */
  root(): string;
  /**
   * The path of a key, whether or not anything is there.
   *
   * @throws OdbError invalid, for no key or a private one; denied, when a symbolic link is in its way
   */
  pathOf(key: string): string;
  /**
   * Opens what is at a key with `open`, guarded as by {@link pathOf}.
   *
   * @param open gives a file descriptor, or throws as `openSync` does
   */
  openAt(key: string, open: (path: string) => number): number;
  /** Where the bucket keeps its own files; below it, the same guard. */
  privatePath(...segments: string[]): string;
}

/** The bucket's folder at `path`, which need not be there yet. */
export function folder(path: string, name: string): Folder {
  let real: string | undefined;
  const root = () => {
    real ??= realRoot(path, name);
    return real;
  };
  const guarded = (key: string) => {
    const full = join(root(), key);
    guard(dirname(full), real ?? "", `${name} ${key}`);
    return full;
  };
  const pathOf = (key: string) => {
    checkKey(key);
    checkPublic(key);
    return guarded(key);
  };
  return {
    name,
    root,
    pathOf,
    openAt(key, open) {
      checkKey(key);
      checkPublic(key);
      const fd = openUnlinked(`${root()}/${key}`, open);
      return fd ?? open(guarded(key));
    },
    privatePath: (...segments) => guarded(join(PRIVATE, ...segments)),
  };
}

/** What is at a path: size and version of a plain file, undefined for nothing or a folder. */
export function entryAt(path: string, key: string, what: string): (Entry & { mtimeNs: bigint }) | undefined {
  let stats: BigIntStats;
  try {
    stats = lstatSync(path, { bigint: true });
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw fileError(error, what);
  }
  if (stats.isDirectory()) return undefined;
  if (!stats.isFile()) throw notPlain(what);
  return { ...entryOf(key, stats), mtimeNs: stats.mtimeNs };
}

/**
 * A file's entry. The etag is inode, time of last change to the nanosecond, and size: a file is only ever replaced
 * as a whole, by another inode, and its time is set to the microsecond and later than its predecessor's.
 */
export function entryOf(key: string, stats: BigIntStats): Entry {
  return {
    key,
    size: Number(stats.size),
    // Few who read a small file want to know these.
    get etag() {
      return `${stats.ino.toString(36)}-${stats.mtimeNs.toString(36)}-${stats.size.toString(36)}`;
    },
    get modified() {
      return new Date(Number(stats.mtimeMs));
    },
  };
}

/** Whether the failure means that there is nothing at this path. */
export function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG";
}

/** A failed system call as an OdbError. @param what names bucket and key */
export function fileError(error: unknown, what: string, signal?: AbortSignal): OdbError {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ELOOP":
    case "ENXIO":
      return notPlain(what);
    case "ENAMETOOLONG":
      return new OdbError("unsupported", `${what}: a part of this key is too long for a file name`, {
        cause: error,
      });
    case "EISDIR":
    case "ENOTDIR":
    case "ENOTEMPTY":
      return new OdbError("conflict", `${what}: one key cannot be a file and another a file below it`, {
        cause: error,
      });
    default:
      return failure(error, what, signal);
  }
}

function checkPublic(key: string): void {
  if (key !== PRIVATE && !key.startsWith(`${PRIVATE}/`)) return;
  throw new OdbError("invalid", `key ${JSON.stringify(key)}: ${PRIVATE} is the bucket's own`);
}

/**
 * Opens first and looks afterwards whether what is open lies at this very path: one call where looking at each folder
 * on the way takes four times as long, and nothing can change between the look and the opening.
 *
 * @returns undefined when it does not, is not there, or the system cannot tell (proc(5) is Linux's)
 */
function openUnlinked(path: string, open: (path: string) => number): number | undefined {
  if (process.platform !== "linux") return undefined;
  let fd: number | undefined;
  try {
    fd = open(path);
    if (readlinkSync(`/proc/self/fd/${fd}`) === path) return fd;
  } catch {
    // Opened again by the guarded way, which tells what is wrong.
  }
  if (fd !== undefined) closeSync(fd);
  return undefined;
}

function notPlain(what: string): OdbError {
  return new OdbError("denied", `${what}: not a plain file; a file bucket follows no symbolic links`);
}

function realRoot(path: string, name: string): string {
  try {
    const root = realpathSync.native(path);
    if (lstatSync(root).isDirectory()) return root;
  } catch (error) {
    if (!isAbsent(error)) throw fileError(error, name);
  }
  throw new OdbError("config", `${name}: no such directory; "git odb init" makes it, or check the path`);
}

/** @throws OdbError denied, when part of the way to `dir` is a symbolic link; config, when the root has gone */
function guard(dir: string, root: string, what: string): void {
  for (let at = dir; ; at = dirname(at)) {
    try {
      if (realpathSync.native(at) === at) return;
      throw new OdbError("denied", `${what}: a symbolic link is in its way; a file bucket follows none`);
    } catch (error) {
      if (error instanceof OdbError) throw error;
      if (!isAbsent(error)) throw fileError(error, what);
    }
    if (at === root)
      throw new OdbError("config", `${root}: the bucket's directory has gone; is its disk mounted?`);
  }
}
