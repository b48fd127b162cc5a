/** The lock of `git gc`, held while packs are replaced: two that do so at once could delete each other's (builtin/gc.c). */

import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OdbError, toOdbError } from "../errors.js";
import type { Repository } from "./git.js";
import { isAlive, isLeftBehind, ownTag } from "./left-behind.js";

/** git takes the lock of a process that it cannot ask about for stale after 12 hours. */
const STALE_MS = 12 * 3600 * 1000;

/**
 * Runs `use` while no `git gc` (nor `gc --auto`) can start, nor another of ours. The lock of a process that was killed
 * is taken over, by us and by git.
 *
 * @throws OdbError conflict, when one runs
 */
export async function withGcLock<T>(repo: Repository, use: () => Promise<T>): Promise<T> {
  const path = join(repo.commonDir, "gc.pid");
  const content = `${process.pid} ${hostname()}`;
  await take(repo, path, content);
  try {
    return await use();
  } finally {
    if ((await readFile(path, "utf8").catch(() => "")) === content) await rm(path, { force: true });
  }
}

/**
 * Makes `gc.pid`, whole at once. git looks at it while it has `gc.pid.lock`, which then becomes it: whoever had that before
 * we were there may not have seen us, so it is waited for, and ours must still stand afterwards. We make no such guard,
 * which a kill would leave behind for good.
 */
async function take(repo: Repository, path: string, content: string): Promise<void> {
  const own = join(repo.commonDir, "odb", `gc.${ownTag()}.tmp`);
  try {
    await mkdir(dirname(own), { recursive: true });
    await clearLeft(dirname(own));
    await writeFile(own, content);
    await clearStale(path, `${own}.stale`);
    await link(own, path);
    for (let tries = 0; tries < GUARD_TRIES && (await isThere(`${path}.lock`)); tries++)
      await sleep(GUARD_MS);
    if ((await textOf(path)) === content) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw toOdbError(error, `lock ${path}`);
  } finally {
    await rm(own, { force: true });
  }
  const holder = (await livingHolder(path)) ?? "which has just ended";
  throw new OdbError(
    "conflict",
    `git gc or another git odb is at work on the packs (process ${holder}): run this again when it is done`,
  );
}

/** What those have left who were killed on the way to the lock. */
async function clearLeft(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const tag = /^gc\.(.*)\.tmp(?:\.stale)?$/.exec(name)?.[1];
    if (tag !== undefined && isLeftBehind(tag)) await rm(join(folder, name), { force: true });
  }
}

/** Moves the lock of a process that is gone out of the way. If another has taken it meanwhile, it is put back. */
async function clearStale(path: string, aside: string): Promise<void> {
  if (!(await isThere(path)) || (await livingHolder(path)) !== undefined) return;
  try {
    await rename(path, aside);
    if ((await livingHolder(aside)) !== undefined) await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/** git has its guard for some milliseconds; one that stays is of a git that was killed. */
const GUARD_TRIES = 50;
const GUARD_MS = 20;

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Who holds the lock, by the rules of git's lock_repo_for_gc. */
async function livingHolder(path: string): Promise<string | undefined> {
  const [, pid, host] = /^([0-9]+) (\S+)/.exec((await textOf(path)) ?? "") ?? [];
  if (pid === undefined || host === undefined) return undefined;
  // It may end at any moment.
  const found = await stat(path).catch(absent);
  if (found === undefined || Date.now() - found.mtimeMs > STALE_MS) return undefined;
  return host !== hostname() || isAlive(Number(pid)) ? `${pid} on ${host}` : undefined;
}

/** @returns undefined when it is not there */
function textOf(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(absent);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
