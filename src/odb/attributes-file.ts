/** Edits a .gitattributes file as a careful person would: what is not meant to change keeps its bytes. */

import { constants } from "node:fs";
import { type FileHandle, lstat, open, readFile, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OdbError, toOdbError } from "../errors.js";
import {
  checkPattern,
  formatPattern,
  isOdbAttribute,
  LINE_LIMIT,
  odbStateOf,
  parseAttributeLine,
} from "./attributes-line.js";

/** How long to wait for another process that edits the same file, in milliseconds (git waits 1 s for refs). */
const LOCK_TIMEOUT_MS = 1000;

/**
 * Gives `pattern` the attribute `odb=<name>`: on its own line when it speaks of `odb` already, else on a new
 * last line, where it overrules what stands above. A pattern that has it already is left alone, wherever it is.
 *
 * @param text the file's bytes, as latin1
 * @param pattern as a user types it, unquoted
 * @throws OdbError invalid, when git would never match a file by the pattern
 */
export function trackPattern(text: string, name: string, pattern: string): string {
  checkPattern(pattern);
  const bytes = Buffer.from(pattern, "utf8").toString("latin1");
  const { bom, lines } = splitLines(text);
  for (let index = lines.length - 1; index >= 0; index--) {
    const line = lines[index];
    const last = line && findLine(line.body, bytes)?.attributes.findLast(({ text }) => isOdbAttribute(text));
    if (!line || !last) continue;
    if (odbStateOf(last.text) === name) return text;
    line.body = replaceAt(line.body, last, `odb=${name}`);
    if (line.body.length < LINE_LIMIT) return bom + joinLines(lines);
    break;
  }
  return appendLine(text, lines, `${formatPattern(bytes)} odb=${name}`, pattern);
}

/**
 * Takes `odb=<name>` from the lines of `pattern`; a line that says nothing else goes whole.
 *
 * @param text the file's bytes, as latin1
 */
export function untrackPattern(text: string, name: string, pattern: string): string {
  const bytes = Buffer.from(pattern, "utf8").toString("latin1");
  const { bom, lines } = splitLines(text);
  const kept = lines.filter((line) => {
    const ours = findLine(line.body, bytes)?.attributes ?? [];
    const gone = ours.filter(({ text }) => odbStateOf(text) === name);
    for (const attribute of gone.toReversed()) line.body = removeAt(line.body, attribute);
    return gone.length === 0 || gone.length < ours.length;
  });
  return bom + joinLines(kept);
}

/** Each pattern that has an `odb=<name>` of its own, as written, in file order: what `git odb track` lists. */
export function trackedPatterns(text: string): { pattern: string; name: string }[] {
  return splitLines(text).lines.flatMap(({ body }) => {
    const line = parseAttributeLine(body);
    const last = line?.attributes.findLast(({ text }) => isOdbAttribute(text));
    const state = last && odbStateOf(last.text);
    if (!line || typeof state !== "string") return [];
    return [{ pattern: Buffer.from(line.pattern, "latin1").toString("utf8"), name: state }];
  });
}

/**
 * Rewrites the file through `edit`: whole or not at all, keeping its mode, with git's own kind of lock
 * (`<file>.lock`) against a second process that edits it. An edit that changes nothing writes nothing.
 *
 * @returns whether the file was changed
 * @throws OdbError conflict, when another process holds the lock; invalid, when the file is a symbolic link
 *   (git reads no such .gitattributes) or when `edit` throws it
 */
export async function editAttributesFile(path: string, edit: (text: string) => string): Promise<boolean> {
  const mode = await modeOf(path);
  const lock = `${path}.lock`;
  const file = await lockFile(lock, mode);
  try {
    const before = await readText(path);
    const after = edit(before);
    if (after === before) {
      await unlink(lock);
      return false;
    }
    if (mode !== undefined) await file.chmod(mode);
    await file.writeFile(after, "latin1");
    await file.sync();
    await rename(lock, path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    await unlink(lock).catch(() => {});
    throw toOdbError(error, path);
  } finally {
    await file.close();
  }
}

interface Line {
  body: string;
  /** "\n", "\r\n", or "" for a last line without one. */
  readonly end: string;
}

/** The lines, and the byte order mark before them, which git skips. */
function splitLines(text: string): { bom: string; lines: Line[] } {
  const bom = text.startsWith("\xef\xbb\xbf") ? text.slice(0, 3) : "";
  const lines = (text.slice(bom.length).match(/[^\n]*\n|[^\n]+$/g) ?? []).map((line) => {
    const end = /\r?\n$/.exec(line)?.[0] ?? "";
    return { body: line.slice(0, line.length - end.length), end };
  });
  return { bom, lines };
}

function joinLines(lines: readonly Line[]): string {
  return lines.map(({ body, end }) => body + end).join("");
}

function findLine(body: string, pattern: string) {
  const line = parseAttributeLine(body);
  return line?.pattern === pattern ? line : undefined;
}

function replaceAt(body: string, { text, start }: { text: string; start: number }, by: string): string {
  return body.slice(0, start) + by + body.slice(start + text.length);
}

/** Takes an attribute out, with the blanks before it. */
function removeAt(body: string, { text, start }: { text: string; start: number }): string {
  return body.slice(0, start).replace(/[ \t]+$/, "") + body.slice(start + text.length);
}

function appendLine(text: string, lines: readonly Line[], line: string, pattern: string): string {
  if (line.length >= LINE_LIMIT) {
    const shown = JSON.stringify(`${pattern.slice(0, 60)}…`);
    throw new OdbError(
      "invalid",
      `pattern ${shown}: git ignores attribute lines of ${LINE_LIMIT} bytes or more`,
    );
  }
  const eol = lines.findLast(({ end }) => end !== "")?.end ?? "\n";
  const unfinished = lines.length > 0 && lines.at(-1)?.end === "";
  return `${text}${unfinished ? eol : ""}${line}${eol}`;
}

async function modeOf(path: string): Promise<number | undefined> {
  const stat = await lstat(path).catch(absent);
  if (stat?.isSymbolicLink()) {
    throw new OdbError(
      "invalid",
      `${path} is a symbolic link, which git does not read: make it a file first`,
    );
  }
  return stat && stat.mode & 0o7777;
}

async function readText(path: string): Promise<string> {
  return (await readFile(path, "latin1").catch(absent)) ?? "";
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw toOdbError(error);
}

async function lockFile(lock: string, mode = 0o666): Promise<FileHandle> {
  for (let waited = 0; ; waited += 50) {
    try {
      return await open(lock, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw toOdbError(error, lock);
      if (waited >= LOCK_TIMEOUT_MS) {
        throw new OdbError(
          "conflict",
          `${lock} exists: another process edits the file; if none does, remove the lock and try again`,
        );
      }
      await sleep(50);
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
