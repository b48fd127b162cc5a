/**
 * Mutual exclusion between processes for the moment of a swap, which a crash at any instruction leaves free.
 *
 * The lock is a symbolic link whose target names its owner: symlink(2) makes name and owner in one step and has
 * one winner, on NFS too. What a dead owner leaves is removed by a recoverer. Two recoverers must not both judge
 * the old link dead and the slower one then remove its successor's; so a recoverer first announces itself by a
 * file of its own in a folder and goes on only if it sees no other there. Each announces before it looks, so no
 * two can both find themselves alone; and as no announcement's name is used twice, removing a dead one's is safe.
 */

import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rmdir,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { OdbError } from "../errors.js";
import { pause } from "./flow.js";
import { isOwnerGone, ownedName } from "./owner.js";

/** How long the mark of a process we cannot see (another host, boot or container) counts, by the file's clock. */
const FOREIGN_MS = 60_000;

/** How long to wait for others. One holds the lock for a few system calls: this long means that it hangs. */
const PATIENCE_MS = 90_000;

/** A lock that is held. */
export interface HeldLock {
  /** Whether it is still ours: a process stopped for longer than a minute may have lost it to another host. */
  isHeld(): Promise<boolean>;
  release(): Promise<void>;
}

/**
 * Takes the lock at `path`, whose folder is made if need be.
 *
 * @returns undefined where the file system has no symbolic links
 * @throws OdbError unavailable, when a live process keeps it too long; aborted
 */
export async function takeLock(
  path: string,
  signal?: AbortSignal,
  what = path,
): Promise<HeldLock | undefined> {
  const name = ownedName();
  const started = Date.now();
  for (let tries = 0; ; tries++) {
    const made = await tryLink(name, path);
    if (made === "made") return held(name, path);
    if (made === "unsupported") return undefined;
    const owner = await ownerOf(path);
    if (owner === undefined) continue;
    if (owner.gone && (await recover(path))) continue;
    if (Date.now() - started > PATIENCE_MS) {
      throw new OdbError(
        "unavailable",
        `${what}: ${path} is held by a process that does not let go (${owner.name})`,
      );
    }
    await pause(Math.random() * Math.min(20, 1 + tries), signal, what);
  }
}

/** Tries of {@link claimLock} while others look at what a dead owner left, and the pause between them in milliseconds. */
const CLAIM_TRIES = 50;
const CLAIM_PAUSE_MS = 4;

/**
 * As {@link takeLock}, for a lock that is kept as long as its owner works: nobody is waited for. Where the file system has
 * no symbolic links it is an ordinary file, and what a dead owner leaves there has to be removed by hand.
 *
 * @param foreignMs how long the lock of a process that we cannot see counts, by the file's clock
 * @returns undefined when another has it, or is about to
 */
export async function claimLock(
  path: string,
  foreignMs = Number.POSITIVE_INFINITY,
): Promise<HeldLock | undefined> {
  const name = ownedName();
  for (let tries = 0; tries < CLAIM_TRIES; tries++) {
    const made = await tryLink(name, path);
    if (made === "made") return held(name, path);
    if (made === "unsupported") return await claimFile(name, path);
    const owner = await ownerOf(path, Date.now(), foreignMs);
    if (owner !== undefined && !owner.gone) return undefined;
    if (owner !== undefined && !(await recover(path, foreignMs)))
      await pause(CLAIM_PAUSE_MS, undefined, path);
  }
  return undefined;
}

async function claimFile(name: string, path: string): Promise<HeldLock | undefined> {
  try {
    await writeFile(path, name, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return undefined;
  }
  return {
    isHeld: async () => (await readFile(path, "utf8")) === name,
    release: () => unlink(path).catch(unlessAbsent),
  };
}

function held(name: string, path: string): HeldLock {
  const isHeld = async () => (await ownerOf(path))?.name === name;
  return {
    isHeld,
    async release() {
      if (await isHeld()) await unlink(path).catch(unlessAbsent);
    },
  };
}

async function tryLink(name: string, path: string): Promise<"made" | "there" | "unsupported"> {
  try {
    await symlink(name, path);
    return "made";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return "there";
    if (code === "EPERM" || code === "ENOSYS" || code === "ENOTSUP" || code === "EOPNOTSUPP") {
      return "unsupported";
    }
    if (code !== "ENOENT") throw error;
    await mkdir(dirname(path), { recursive: true });
    return "there";
  }
}

/** Who holds the lock, and whether that one looks gone; undefined when nobody does. */
async function ownerOf(
  path: string,
  now = Date.now(),
  foreignMs = FOREIGN_MS,
): Promise<{ name: string; gone: boolean } | undefined> {
  try {
    const name = await readlink(path);
    const gone = isOwnerGone(name) ?? now - (await lstat(path)).mtimeMs > foreignMs;
    return { name, gone };
  } catch (error) {
    // No link: somebody else's, or ours where there are no links.
    if ((error as NodeJS.ErrnoException).code === "EINVAL") return { name: "", gone: false };
    unlessAbsent(error);
    return undefined;
  }
}

/** Removes a dead owner's lock, unless another recoverer is at it. @returns whether it did */
async function recover(path: string, foreignMs = FOREIGN_MS): Promise<boolean> {
  const folder = `${path}.recover`;
  const own = await announce(folder);
  try {
    const { mtimeMs: now } = await lstat(join(folder, own));
    if (await anyOther(folder, own, now)) return false;
    if (!(await ownerOf(path, now, foreignMs))?.gone) return false;
    await unlink(path);
    return true;
  } finally {
    await unlink(join(folder, own)).catch(unlessAbsent);
    // Fails while others are at it, who will do it.
    await rmdir(folder).catch(() => {});
  }
}

/** @returns the name of our file in the folder, which another may remove until it is there */
async function announce(folder: string): Promise<string> {
  const own = ownedName();
  for (;;) {
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, own), "", { flag: "wx" });
      return own;
    } catch (error) {
      unlessAbsent(error);
    }
  }
}

async function anyOther(folder: string, own: string, now: number): Promise<boolean> {
  let found = false;
  for (const name of await readdir(folder)) {
    if (name === own) continue;
    const mark = join(folder, name);
    const age = async () => now - (await lstat(mark)).mtimeMs;
    try {
      if (isOwnerGone(name) ?? (await age()) > FOREIGN_MS) await unlink(mark);
      else found = true;
    } catch (error) {
      unlessAbsent(error);
    }
  }
  return found;
}

function unlessAbsent(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
