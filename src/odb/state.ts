/** The private state of an ODB in a clone: the folder `<git-common-dir>/odb/<name>/`, shared by its worktrees. */

import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import { type ObjectInfo, parseInfo } from "../object/info.js";
import type { Repository } from "../repo/git.js";
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
  return createHash("sha256").update(urls.join("\n")).digest("hex").slice(0, 16);
}

/** Bytes of a file. @returns undefined when there is none */
export async function readState(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
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
    throw toOdbError(error);
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

/** Makes the names in a folder durable. */
export async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * The objects that a file of `<oid> <size> <type>` lines names, in order. What is no whole line (torn by a crash) is
 * passed over: it was never acknowledged. A `-` before the line takes the object back.
 */
export function* parseLines(content: Buffer): Generator<{ info: ObjectInfo; gone: boolean }> {
  let start = 0;
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, start)) {
    const line = content.toString("latin1", start, end);
    start = end + 1;
    const gone = line.startsWith("-");
    const info = lineInfo(gone ? line.slice(1) : line);
    if (info !== undefined) yield { info, gone };
  }
}

function lineInfo(line: string): ObjectInfo | undefined {
  if (line.length < 44 || line.length > 100) return undefined;
  try {
    return parseInfo(line);
  } catch (error) {
    if (error instanceof OdbError && error.code === "invalid") return undefined;
    throw error;
  }
}

async function makeDirectory(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
}
