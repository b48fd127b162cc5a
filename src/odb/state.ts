/** The private state of an ODB in a clone: the folder `<git-common-dir>/odb/<name>/`, shared by its worktrees. */

import { readdirSync, readFileSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo, ObjectType } from "../object/info.js";
import { shortSha256 } from "../object/short-sha256.js";
import type { Repository } from "../repo/git.js";
import { syncDirectory } from "../repo/sync-directory.js";
import { parseOdbName } from "./name.js";

/** Where an ODB keeps its state. Nothing is made before something is written. */
export function stateDirectory(repo: Repository, name: string): string {
  return join(repo.commonDir, "odb", parseOdbName(name));
}

/**
 * A short name for a store, to tell apart what was confirmed in one from what was in another: an object that the
 * former URL had must not be named once the URL has changed.
 */
export function storeKey(urls: readonly string[]): string {
  return shortSha256(urls.join("\n")).slice(0, 16);
}

/** Names of the files in a folder; none when it is not there. In this thread, as {@link readState}. */
export function stateNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw toOdbError(error);
  }
}

/** Bytes of a file, read in this thread: 20 us against 200 through the pool. @returns undefined when there is none */
export async function readState(path: string): Promise<Buffer | undefined> {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw toOdbError(error);
  }
}

/** Replaces a file whole: the old or the new content survives a crash, nothing between. */
export async function replaceState(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await makeDirectory(join(path, ".."));
    const file = await open(temporary, "w");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(join(path, ".."));
  } catch (error) {
    await rm(temporary, { force: true });
    throw toOdbError(error, `write ${path}`);
  }
}

/** Opens a file to append to, its name durable. */
export async function openToAppend(path: string, flags: "a" | "ax" = "a"): Promise<FileHandle> {
  try {
    await makeDirectory(join(path, ".."));
    const file = await open(path, flags);
    await syncDirectory(join(path, ".."));
    return file;
  } catch (error) {
    throw toOdbError(error);
  }
}

/** A line of the state: an object, or, with `-` in front, that it is taken back. */
export interface StateLine {
  readonly info: ObjectInfo;
  readonly gone: boolean;
}

/** One pass of one expression over the whole file, which may have 100,000 lines and is read at every start. */
const whole = /^(-?)([0-9a-f]{40}|[0-9a-f]{64}) (0|[1-9][0-9]{0,14}) (blob|tree|commit|tag)\n/gm;

/**
 * The objects that a file of `<oid> <size> <type>` lines names, in order. What is no whole line (torn by a crash) is
 * passed over: it was never acknowledged.
 */
export function parseLines(content: Buffer): StateLine[] {
  const lines: StateLine[] = [];
  for (const [, sign, oid, size, type] of content.toString("latin1").matchAll(whole)) {
    const info = { oid: oid as ObjectId, size: Number(size), type: type as ObjectType };
    lines.push({ info, gone: sign === "-" });
  }
  return lines;
}

/** Makes a folder and those above it, their names durable. */
async function makeDirectory(dir: string): Promise<void> {
  const first = await mkdir(dir, { recursive: true });
  if (first === undefined) return;
  for (let made = dir; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
}
