/** Many refs in one transaction, many blobs in one process. */

import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { OdbError } from "../errors.js";
import { hashObject } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { Repository } from "./git.js";
import { writeLooseBytes } from "./loose-writer.js";

/** One ref to write or delete. */
export interface RefUpdate {
  readonly ref: string;
  /** `undefined` deletes it. */
  readonly oid: ObjectId | undefined;
  /** What it must be now; `null`: it must not exist. Left out: whatever it is. */
  readonly old?: ObjectId | null;
}

/**
 * Writes all or none. A lock that another git holds for a moment is waited for; a ref that is not what `old` says is
 * a conflict at once.
 *
 * @throws OdbError conflict
 */
export async function updateRefs(repo: Repository, updates: readonly RefUpdate[]): Promise<void> {
  if (updates.length === 0) return;
  const input = updates.map(formatUpdate).join("");
  const args = ["-c", "core.logAllRefUpdates=false", "update-ref", "--stdin", "-z"];
  for (let attempt = 0; ; attempt++) {
    try {
      await repo.run(args, { input });
      return;
    } catch (error) {
      if (!isLocked(error) || attempt >= LOCK_ATTEMPTS) throw error;
      await sleep(randomInt(20, 60) * Math.min(attempt + 1, 10));
    }
  }
}

/** One ref as it is. */
export interface Ref {
  readonly ref: string;
  readonly oid: ObjectId;
}

/** The command of {@link listRefs}, for `openRepository` to start ahead. */
export function listRefsCommand(prefix: string): readonly string[] {
  return ["for-each-ref", "--format=%(objectname) %(refname)", prefix];
}

/** Every ref below a prefix (`refs/odbs/magic/`), sorted by name. One git process, whatever their number. */
export async function listRefs(repo: Repository, prefix: string): Promise<Ref[]> {
  const text = await repo.text(listRefsCommand(prefix));
  const refs: Ref[] = [];
  for (const line of text === "" ? [] : text.split("\n")) {
    const cut = line.indexOf(" ");
    refs.push({ oid: line.slice(0, cut) as ObjectId, ref: line.slice(cut + 1) });
  }
  return refs;
}

/**
 * Writes blobs into the repository's object store, durably: a few as loose objects by ourselves, many as one pack by
 * one `git fast-import`.
 *
 * @returns their ids, in order
 */
export async function writeBlobs(repo: Repository, contents: readonly Uint8Array[]): Promise<ObjectId[]> {
  const oids = contents.map((content) => hashObject("blob", content, repo.hash));
  if (contents.length <= LOOSE_LIMIT) {
    for (const [n, content] of contents.entries()) {
      await writeLooseBytes(repo.objectsDir, oids[n] as ObjectId, "blob", content);
    }
    return oids;
  }
  async function* input() {
    for (const content of contents) yield Buffer.concat([BLOB(content.length), content, LF]);
    yield "done\n";
  }
  // Below fastimport.unpackLimit git would unpack them into loose objects that not every git syncs to disk.
  await repo.run(["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--done"], { input: input() });
  return oids;
}

/** So many loose objects are written sooner than a git is started (each costs two fsyncs, 0.5 ms). */
const LOOSE_LIMIT = 8;

/** Tries for a lock: about ten seconds in all. */
const LOCK_ATTEMPTS = 30;

const LF = Buffer.from("\n");
const BLOB = (size: number) => Buffer.from(`blob\ndata ${size}\n`);

function formatUpdate({ ref, oid, old }: RefUpdate): string {
  const none = "";
  if (oid === undefined) return `delete ${ref}\0${old ?? none}\0`;
  if (old === null) return `create ${ref}\0${oid}\0`;
  return `update ${ref}\0${oid}\0${old ?? none}\0`;
}

/** "Unable to create '….lock': File exists": another git is at it. */
function isLocked(error: unknown): boolean {
  return (
    error instanceof OdbError &&
    error.code === "conflict" &&
    /\.lock'|Unable to create|could not lock/.test(error.message)
  );
}
