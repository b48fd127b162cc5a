/** Sends what waits for a store that could not be reached when it was put. */

import type { CallOptions } from "../bucket/bucket.js";
import { type OdbError, toOdbError } from "../errors.js";
import type { ObjectInfo } from "../object/info.js";
import { openCatFile, type RepositoryObject } from "../repo/cat-file.js";
import { dequeue } from "./queue.js";
import type { Odb, SendReport } from "./session.js";

/** Sends the whole queue, one object after the other; a store that fails again ends it, and the rest waits on. */
export async function sendQueue(odb: Odb, options?: CallOptions): Promise<SendReport> {
  const queue = await odb.queued();
  const sent: ObjectInfo[] = [];
  const lost: ObjectInfo[] = [];
  let why: OdbError | undefined;
  await using objects = openCatFile(odb.repo);
  for (const info of queue) {
    try {
      const isSent = await send(odb, info, await objects.get(info.oid), options);
      (isSent ? sent : lost).push(info);
    } catch (error) {
      why ??= toOdbError(error);
      // A broken local copy is the trouble of one object; anything else, of the store.
      if (why.code !== "integrity") break;
    }
  }
  await odb.flush();
  const done = new Set([...sent, ...lost]);
  const left = queue.filter((info) => !done.has(info));
  return { sent, left, lost, ...(why && { why }) };
}

/** @returns false when neither the repository nor the store has the object */
async function send(
  odb: Odb,
  info: ObjectInfo,
  local: RepositoryObject | undefined,
  options?: CallOptions,
): Promise<boolean> {
  if (local !== undefined) await odb.put(info, local.content, options);
  // The store may have it after all; then it is journalled as if this clone had put it.
  else if ((await odb.claim(info.oid, options)) === undefined) return false;
  await dequeue(odb.directory, info.oid);
  return true;
}
