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
