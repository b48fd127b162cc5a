/**
 * What the store certainly holds, as this clone has seen it: `confirmed-<store>`, lines that are only appended. It
 * saves asking again; what is lost of it is confirmed anew.
 */

import { join } from "node:path";
import { toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { formatInfo, type ObjectInfo } from "../object/info.js";
import { openToAppend, parseLines, readState } from "./state.js";

/** The confirmed objects of one store. @param store of `storeKey` */
export async function readConfirmed(dir: string, store: string): Promise<Map<ObjectId, ObjectInfo>> {
  const confirmed = new Map<ObjectId, ObjectInfo>();
  const content = await readState(pathOf(dir, store));
  for (const { info, gone } of content === undefined ? [] : parseLines(content)) {
    if (gone) confirmed.delete(info.oid);
    else confirmed.set(info.oid, info);
  }
  return confirmed;
}

/** A file of confirmed objects that can be used as it is. */
export interface PlainConfirmed {
  readonly oids: ReadonlySet<ObjectId>;
  /** `<oid> <size> <type>` LF for each. */
  readonly lines: string;
}

const LF = 0x0a;

/** A line, with the LF that may stand in front of the first of several. */
const plainLine = /\n?(?:[0-9a-f]{64}|[0-9a-f]{40}) (?:0|[1-9][0-9]{0,14}) (?:blob|tree|commit|tag)\n/y;

/**
 * As {@link readConfirmed}, without an object for each line: they make the garbage collector run, which takes a tenth of
 * the time of a process that only answers `have`.
 *
 * @returns undefined when there is more in the file than objects, each once: something taken back, a torn line
 */
export async function readPlainConfirmed(dir: string, store: string): Promise<PlainConfirmed | undefined> {
  const text = (await readState(pathOf(dir, store)))?.toString("latin1") ?? "";
  const oids = new Set<ObjectId>();
  let count = 0;
  for (let at = 0; at < text.length; at = plainLine.lastIndex, count++) {
    plainLine.lastIndex = at;
    if (!plainLine.test(text)) return undefined;
    const start = text.charCodeAt(at) === LF ? at + 1 : at;
    oids.add(text.slice(start, text.indexOf(" ", start)) as ObjectId);
  }
  return oids.size === count ? { oids, lines: text.replaceAll("\n\n", "\n").replace(/^\n/, "") } : undefined;
}

/** Remembers objects: put and acknowledged, or seen in the store by stat or listing. Durable when it resolves. */
export async function addConfirmed(dir: string, store: string, infos: readonly ObjectInfo[]): Promise<void> {
  await append(dir, store, infos.map(lineOf));
}

/** Forgets objects that the store turned out not to hold. */
export async function removeConfirmed(
  dir: string,
  store: string,
  infos: readonly ObjectInfo[],
): Promise<void> {
  await append(
    dir,
    store,
    infos.map((info) => `-${lineOf(info)}`),
  );
}

async function append(dir: string, store: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const path = pathOf(dir, store);
  const file = await openToAppend(path);
  try {
    // The LF in front ends a line that a crash has torn.
    await file.writeFile(`\n${lines.join("")}`);
    await file.datasync();
  } catch (error) {
    throw toOdbError(error, `write ${path}`);
  } finally {
    await file.close();
  }
}

function pathOf(dir: string, store: string): string {
  return join(dir, `confirmed-${store}`);
}

function lineOf(info: ObjectInfo): string {
  return `${formatInfo(info)}\n`;
}
