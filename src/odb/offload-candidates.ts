/** Which blobs may be dropped: those that the ODB holds and that a remote-tracking ref reaches (docs/offload.md). */

import { devNull } from "node:os";
import type { CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import type { Repository } from "../repo/git.js";
import type { Odb } from "./session.js";

/** What a user wants to be dropped. */
export interface OffloadScope {
  /** Only what these revisions reach, in any form of git rev-list. Empty: all. */
  readonly revs?: readonly string[];
  /** Only what no commit since this date has, in any form of git's dates. */
  readonly olderThan?: string;
  /** Only blobs of at least so many bytes; then also what lies in packs of a repository in a bucket. */
  readonly above?: number;
  /**
   * `server`: this repository is itself what others fetch from, so what its own branches and tags reach may go, too.
   * Default false: only remote-tracking refs count.
   */
  readonly server?: boolean;
}

/**
 * The blobs in the scope, by what the ODB is known or found to hold. They may be absent here, and the store has still to
 * prove that it has them.
 *
 * @throws OdbError invalid, for a revision or date that is none; what the store throws when it cannot be asked
 */
export async function offloadCandidates(
  odb: Odb,
  scope: OffloadScope,
  options: CallOptions = {},
): Promise<Map<ObjectId, ObjectInfo>> {
  const wanted = await published(odb.repo, scope);
  const found = new Map<ObjectId, ObjectInfo>();
  if (wanted.size === 0) return found;
  const take = (info: ObjectInfo) => {
    const large = info.size >= (scope.above ?? 0);
    if (info.type === "blob" && large && wanted.has(info.oid)) found.set(info.oid, info);
  };
  for await (const info of odb.have(options)) take(info);
  const store = await odb.store();
  try {
    // Broken ones are no candidates. What nobody has selected lies in packs: mostly small files.
    const unpacked = scope.above === undefined;
    for await (const info of store.list({ ...options, unpacked, onBad: () => {} })) take(info);
  } catch (error) {
    // A plain web server lists nothing: then what is known must do.
    if (!(error instanceof OdbError && error.code === "unsupported")) throw error;
  }
  return found;
}

/** Every object that the remote-tracking refs reach, as far as the scope goes. */
async function published(repo: Repository, scope: OffloadScope): Promise<Set<ObjectId>> {
  const { revs = [], olderThan } = scope;
  const refs = scope.server ? ["--branches", "--tags", "--remotes"] : ["--remotes"];
  const objects = await reach(repo, refs, { env: AS_OTHERS_HAVE_IT });
  if (revs.length > 0) {
    const inRevs = await reach(repo, [...(await checkRevs(repo, revs)), "--"]);
    for (const oid of objects) if (!inRevs.has(oid)) objects.delete(oid);
  }
  if (olderThan !== undefined) {
    for (const oid of await touchedSince(repo, olderThan)) objects.delete(oid);
  }
  return objects;
}

/** Replace refs and grafts are this repository's own: through them a remote-tracking ref seems to reach what is only here. */
const AS_OTHERS_HAVE_IT = { GIT_NO_REPLACE_OBJECTS: "1", GIT_GRAFT_FILE: devNull };

/** Everything in the trees of the commits since a date, on whatever branch. */
async function touchedSince(repo: Repository, date: string): Promise<Set<ObjectId>> {
  const commits = await repo.text(["rev-list", "--all", `--since=${await checkDate(repo, date)}`]);
  if (commits === "") return new Set();
  return reach(repo, ["--no-walk=unsorted", "--stdin"], { input: `${commits}\n` });
}

async function reach(
  repo: Repository,
  args: readonly string[],
  { input = "", env = {} }: { input?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Set<ObjectId>> {
  const command = ["rev-list", "--objects", "--no-object-names", "--missing=allow-any", ...args];
  const objects = new Set<ObjectId>();
  const options = { input, env: { GIT_NO_LAZY_FETCH: "1", ...env } };
  for await (const line of repo.runLines(command, options)) {
    if (isObjectId(line)) objects.add(line);
  }
  return objects;
}

/** @returns the ids that they stand for, with `^` in front where git does */
async function checkRevs(repo: Repository, revs: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const rev of revs) {
    if (rev.startsWith("-")) throw noRevision(rev, repo);
    const args = ["rev-parse", "--quiet", "--revs-only", rev];
    const { stdout } = await repo.run(args, { okStatus: [0, 1, 128] });
    const found = stdout.toString().split("\n").filter(Boolean);
    if (found.length === 0) throw noRevision(rev, repo);
    ids.push(...found);
  }
  return ids;
}

function noRevision(rev: string, repo: Repository): OdbError {
  return new OdbError("invalid", `${JSON.stringify(rev)} is no revision of ${repo.name}`);
}

/** git takes what it does not understand for now, which would let everything go. @returns seconds */
async function checkDate(repo: Repository, date: string): Promise<string> {
  const text = await repo.text(["rev-parse", `--since=${date}`]);
  const seconds = /^--max-age=([0-9]+)$/.exec(text)?.[1];
  if (seconds !== undefined && Number(seconds) < Date.now() / 1000 - 60) return seconds;
  throw new OdbError(
    "invalid",
    `${JSON.stringify(date)} is no date in the past: use 2.weeks, 90.days or 2024-12-31`,
  );
}
