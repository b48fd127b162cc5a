/**
 * The queue: objects that the store could not take and that lie, verified, in the repository's own object store until
 * they are sent. A file an object in `queue/`, so that two gits at the same time are safe without a lock.
 */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isObjectId, type ObjectId } from "../object/id.js";
import { formatInfo, type ObjectInfo } from "../object/info.js";
import { syncDirectory } from "../repo/sync-directory.js";
import { parseLines, readState, replaceState, stateNames } from "./state.js";

/** Queues an object that the repository certainly has. Durable when it resolves. */
export async function enqueue(dir: string, info: ObjectInfo): Promise<void> {
  await replaceState(join(dir, "queue", info.oid), `${formatInfo(info)}\n`);
}

/** What waits to be sent, sorted by id. */
export async function readQueue(dir: string): Promise<ObjectInfo[]> {
  const folder = join(dir, "queue");
  const names = stateNames(folder);
  const queued: ObjectInfo[] = [];
  for (const name of names.filter(isObjectId).sort()) {
    const content = await readState(join(folder, name));
    const [line] = content === undefined ? [] : parseLines(content);
    if (line?.info.oid === name) queued.push(line.info);
  }
  return queued;
}

/** Takes an object off, after the store has acknowledged it. */
export async function dequeue(dir: string, oid: ObjectId): Promise<void> {
  const folder = join(dir, "queue");
  await rm(join(folder, oid), { force: true });
  await syncDirectory(folder);
}
