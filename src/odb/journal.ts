/**
 * The journal: what this clone put and the store acknowledged, before its metadata refs are written. A file a process
 * in `journal/`, so that two gits at the same time never share one.
 */

import { randomBytes } from "node:crypto";
import { type FileHandle, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import { formatInfo, type ObjectInfo } from "../object/info.js";
import { openToAppend, parseLines, readState, stateNames } from "./state.js";

/** What is journalled in one file. */
export interface JournalFile {
  readonly path: string;
  /** The store it was put into (`storeKey`). */
  readonly store: string;
  /** Its process still runs, or may: it must not be removed. */
  readonly alive: boolean;
  readonly infos: readonly ObjectInfo[];
}

/** The journal of this process. */
export interface Journal {
  /** Its file; made on the first `append`. */
  readonly path: string;
  /** Resolves when the line is on disk. Lines that arrive while one is synced share the next sync. */
  append(info: ObjectInfo): Promise<void>;
  /** What was appended since the last `clear`. */
  pending(): readonly ObjectInfo[];
  /** Called when the refs of these are written: removes the file once nothing else is in it. */
  clear(written: readonly ObjectInfo[]): Promise<void>;
  close(): Promise<void>;
}

/** A journal that makes its file on the first `append`. @param dir the ODB's state folder */
export function openJournal(dir: string, store: string): Journal {
  const name = `${store}.${hostTag()}.${process.pid}.${randomBytes(4).toString("hex")}`;
  return new FileJournal(join(dir, "journal", name));
}

/** Reads every process's journal, whoever wrote it. */
export async function readJournals(dir: string): Promise<JournalFile[]> {
  const folder = join(dir, "journal");
  const names = stateNames(folder);
  const files: JournalFile[] = [];
  for (const name of names.sort()) {
    const [store = "", host = "", pid = ""] = name.split(".");
    const content = await readState(join(folder, name));
    if (content === undefined || !/^[0-9]+$/.test(pid)) continue;
    const infos = parseLines(content).map(({ info }) => info);
    files.push({ path: join(folder, name), store, alive: mayLive(host, Number(pid)), infos });
  }
  return files;
}

/** Removes the journals of processes that are gone, once their refs are written. */
export async function removeJournals(files: readonly JournalFile[]): Promise<void> {
  await Promise.all(files.filter(({ alive }) => !alive).map(({ path }) => rm(path, { force: true })));
}

class FileJournal implements Journal {
  readonly path: string;
  #file: FileHandle | undefined;
  #isMade = false;
  #pending: ObjectInfo[] = [];
  /** Appends that have not resolved yet: their lines may be in the file. */
  #underWay = 0;
  /** Lines for the next write, and those who wait for it. */
  #waiting: { lines: string; done: Promise<void> } | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  async append(info: ObjectInfo): Promise<void> {
    this.#underWay += 1;
    try {
      await this.#join(`${formatInfo(info)}\n`);
      this.#pending.push(info);
    } finally {
      this.#underWay -= 1;
    }
  }

  pending(): readonly ObjectInfo[] {
    return [...this.#pending];
  }

  async clear(written: readonly ObjectInfo[]): Promise<void> {
    const done = new Set(written);
    this.#pending = this.#pending.filter((info) => !done.has(info));
    if (this.#pending.length > 0 || this.#underWay > 0 || !this.#isMade) return;
    // In the order of the writes: a line that comes now belongs to the next file.
    const removal = this.#writing.then(() => this.#remove());
    this.#writing = removal.catch(() => {});
    await removal;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
    this.#isMade = false;
  }

  /** Adds a line to the group that is written after the present one. */
  #join(line: string): Promise<void> {
    if (this.#waiting === undefined) {
      const group = { lines: "", done: Promise.resolve() };
      group.done = this.#writing.then(() => {
        this.#waiting = undefined;
        return this.#write(group.lines);
      });
      // The next group waits for this one whether it fails or not; its own members see the failure.
      this.#writing = group.done.catch(() => {});
      this.#waiting = group;
    }
    this.#waiting.lines += line;
    return this.#waiting.done;
  }

  async #write(lines: string): Promise<void> {
    this.#isMade = true;
    this.#file ??= await openToAppend(this.path);
    try {
      await this.#file.writeFile(lines);
      await this.#file.datasync();
    } catch (error) {
      throw toOdbError(error, `write ${this.path}`);
    }
  }
}

/** A host's name as part of a file name. */
function hostTag(): string {
  return hostname().replace(/[^A-Za-z0-9-]/g, "_") || "host";
}

/** Only of our own host can a process be known to be gone. */
function mayLive(host: string, pid: number): boolean {
  if (host !== hostTag()) return true;
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
