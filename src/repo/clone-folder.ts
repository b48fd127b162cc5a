/** The folder a clone is made in: claimed, marked while the clone is unfinished, and gone on with when it was killed. */

import { existsSync, rmSync } from "node:fs";
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import { formatSettings, type Setting } from "./config-text.js";
import { runGit } from "./process.js";

/** What a clone is to be. The same request again goes on with what an interrupted run has made. */
export interface CloneRequest {
  readonly directory: string;
  /** Of the same words for the same clone; without secrets, since it is written to the config of the clone. */
  readonly words: readonly string[];
  /** What a failure does with the folder. A kill can only leave it. */
  readonly onFailure: "remove" | "leave";
}

/** A claimed folder. Disposing of it removes what the clone has made, unless it was kept or is to be left. */
export interface CloneFolder extends AsyncDisposable {
  /** Absolute. */
  readonly path: string;
  /** Whether an earlier run has begun: any part of the work may be there already. */
  readonly continued: boolean;
  /**
   * Makes the folder and marks it; what a killed git has left in the way is taken away.
   *
   * @returns the settings of the mark, for a git that makes the repository itself
   */
  begin(how?: Beginning): Promise<readonly Setting[]>;
  /** The history is there: the mark goes, and from now on the folder stays, whatever happens. */
  complete(): Promise<void>;
}

/** How a folder is begun. */
export interface Beginning {
  /** What is in it goes first. */
  readonly anew?: boolean;
  /** More settings for the config, if the folder is not {@link CloneFolder.continued}. */
  readonly settings?: readonly Setting[];
}

/** The section of the mark in `.git/config`. */
const MARK = "odbclone";

/**
 * Looks whether the clone may be made there, and makes nothing yet.
 *
 * @throws OdbError conflict, when there is something else in it, or another process makes this clone
 */
export async function claimFolder({ directory, words, onFailure }: CloneRequest): Promise<CloneFolder> {
  const path = resolve(directory);
  const gitDir = join(path, ".git");
  const request = JSON.stringify(words);
  const found = await look(path);
  const continued = found !== undefined && found.length > 0;
  if (continued) await checkBegun(directory, path, found, request);
  let begun = false;
  let kept = onFailure === "leave";
  const junk = () => (found === undefined ? path : gitDir);
  // An interrupted verb may not get as far as disposing.
  const onExit = () => {
    if (begun && !kept) rmSync(junk(), forced);
  };
  process.once("exit", onExit);
  const marks: readonly Setting[] = [
    [`${MARK}.request`, request],
    [`${MARK}.process`, `${process.pid} ${hostname()}`],
  ];
  return {
    path,
    continued,
    async begin({ anew = false, settings = [] } = {}) {
      begun = true;
      if (anew) {
        await rm(gitDir, forced);
        return marks;
      }
      await makeFolder(gitDir).catch((error: unknown) => {
        throw toOdbError(error, `make ${path}`);
      });
      if (!continued) {
        const text = formatSettings([...marks, ...settings]);
        await writeFile(join(gitDir, "config"), text).catch((error: unknown) => {
          throw toOdbError(error, `make ${path}`);
        });
        return marks;
      }
      await clearLeftovers(gitDir);
      for (const [key, value] of marks) {
        await runGit(["config", "--file", join(gitDir, "config"), "--replace-all", key, value]);
      }
      return marks;
    },
    async complete() {
      await runGit(["config", "--file", join(gitDir, "config"), "--remove-section", MARK]);
      kept = true;
    },
    async [Symbol.asyncDispose]() {
      process.off("exit", onExit);
      if (begun && !kept) await rm(junk(), forced);
    },
  };
}

/** As `mkdir -p`. Node's own tries for ever where a folder is there that takes none (/proc). */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || existsSync(dirname(path))) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

/** A git that was told to end may still be writing its last file. */
const forced = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };

/** @returns undefined when there is no such folder */
async function look(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ENOTDIR") throw new OdbError("conflict", `destination path ${path} is no directory`);
    throw toOdbError(error, `read ${path}`);
  }
}

/** Nothing but the beginning of this clone may be there, and nobody at work on it. */
async function checkBegun(
  name: string,
  path: string,
  found: readonly string[],
  request: string,
): Promise<void> {
  const shown = JSON.stringify(name);
  // Killed before it could even be marked.
  if (found.join() === ".git" && (await isEmpty(join(path, ".git")))) return;
  const mark = found.includes(".git") ? await readMark(join(path, ".git", "config")) : undefined;
  if (mark === undefined || found.length > 1) {
    throw new OdbError(
      "conflict",
      `destination path ${shown} already exists and is not an empty directory${found.includes(".git") ? `; if it is a clone whose checkout was broken off, run "git checkout --force" in it` : ""}`,
    );
  }
  if (mark.request !== request) {
    throw new OdbError(
      "conflict",
      `destination path ${shown} holds the beginning of another clone: remove it, or name another directory`,
    );
  }
  const [pid = "", host] = mark.process.split(" ");
  if (host !== hostname() || !isAlive(Number(pid))) return;
  throw new OdbError("conflict", `process ${pid} is making this very clone in ${shown}: wait until it ends`);
}

async function isEmpty(path: string): Promise<boolean> {
  return (await look(path))?.length === 0;
}

async function readMark(config: string): Promise<{ request: string; process: string } | undefined> {
  const args = ["config", "--file", config, "-z", "--get-regexp", `^${MARK}\\.`];
  const { stdout } = await runGit(args, { okStatus: [0, 1, 3, 128] });
  const values = new Map<string, string>();
  for (const entry of stdout.toString().split("\0")) {
    const [key = ""] = entry.split("\n", 1);
    values.set(key, entry.slice(key.length + 1));
  }
  const request = values.get(`${MARK}.request`);
  return request === undefined ? undefined : { request, process: values.get(`${MARK}.process`) ?? "" };
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Locks, which would stop every further git, and halves of packs, which may be large. */
async function clearLeftovers(gitDir: string): Promise<void> {
  for (const file of await readdir(gitDir, { recursive: true })) {
    const isObject = file.startsWith("objects");
    const isLeft = isObject ? /[/\\]tmp_(?:pack|idx|obj|rev)_[^/\\]*$/.test(file) : file.endsWith(".lock");
    if (isLeft) await rm(join(gitDir, file), { force: true });
  }
}
