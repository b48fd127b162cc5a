/** What a clone leaves to the ODBs: the filter for its fetch, chosen by what the ODBs have and what the server lacks. */

import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { requireOdbConfig } from "../odb/config.js";
import { missingInHistory } from "../odb/missing.js";
import { PROMISE_PREFIX } from "../odb/promise.js";
import { promisorRemoteName } from "../odb/promisor-remote.js";
import { readMetadata } from "../odb/refs.js";
import type { Repository } from "../repo/git.js";
import type { CloneOdbs } from "./clone-odbs.js";

/** A filter of git-rev-list(1), and what it means here. */
export interface CloneFilter {
  /** Undefined: everything is fetched. */
  readonly spec?: string;
  /** One line for the user. */
  readonly note: string;
  /** What the filter leaves out beside the ODBs' blobs is fetched at once: the server keeps no other copy from us. */
  readonly exact: boolean;
  /** The objects that the ODBs have, by the ODBs' names. */
  readonly stored: ReadonlyMap<string, ReadonlySet<ObjectId>>;
}

/** What the choice depends on. */
export interface FilterQuestion {
  /** `--filter=<spec>`, or `--no-filter` (false). */
  readonly asked: string | false | undefined;
  readonly odbs: CloneOdbs;
  /** Of the remote. */
  readonly refs: ReadonlyMap<string, ObjectId>;
}

/**
 * A blob below this size is not worth a request of its own: the filter never leaves out smaller ones. In bytes.
 */
const SMALLEST_LIMIT = 64 * 1024;

const stockOnly = "this clone is for git 2.39 and later";

/**
 * - as asked for;
 * - a server that promises blobs (`git odb init --server`) lacks them: a git can only be told to leave out every blob
 *   (`blob:none`); those that no ODB has are fetched right afterwards;
 * - any other server: blobs from the size on that the ODBs publish (`minSize`), or of the smallest object they have;
 * - nothing is left out when there is no ODB to get it from.
 *
 * @throws OdbError config, when the server lacks blobs of an ODB that was not accepted
 */
export async function chooseFilter(repo: Repository, question: FilterQuestion): Promise<CloneFilter> {
  const { asked, odbs, refs } = question;
  const offloaded = [...refs.keys()].flatMap((ref) =>
    ref.startsWith(PROMISE_PREFIX) ? [ref.slice(PROMISE_PREFIX.length)] : [],
  );
  const lacking = offloaded.find((name) => !odbs.usable.includes(name));
  if (lacking !== undefined) {
    throw new OdbError(
      "config",
      `the remote keeps blobs in ODB "${lacking}" only, whose store was not accepted: use --accept-odb, or --accept-odb=<url>`,
    );
  }
  const stored = new Map<string, ReadonlySet<ObjectId>>();
  const full = { note: "", exact: false, stored };
  if (asked === false && offloaded.length === 0) return full;
  if (asked) return { spec: asked, note: `Partial clone (${asked}): ${stockOnly}`, exact: false, stored };
  const limits: number[] = [];
  for (const name of odbs.usable) {
    const { minSize } = await requireOdbConfig(repo, name);
    const { infos } = await readMetadata(repo, name);
    stored.set(name, new Set(infos.keys()));
    let least = minSize ?? Number.POSITIVE_INFINITY;
    if (minSize === undefined) for (const { size } of infos.values()) if (size < least) least = size;
    if (Number.isFinite(least)) limits.push(Math.max(least, SMALLEST_LIMIT));
  }
  if (offloaded.length > 0) {
    const note = `The remote keeps big blobs in ODB ${offloaded.join(", ")}: ${stockOnly}`;
    return { spec: "blob:none", note, exact: true, stored };
  }
  if (limits.length === 0) return full;
  const limit = Math.min(...limits);
  return {
    spec: `blob:limit=${limit}`,
    note: `Blobs of ${limit} bytes or more are fetched when they are needed (--no-filter: now): ${stockOnly}`,
    exact: false,
    stored,
  };
}

/** A git to be run: `git fetch` of these objects. */
export interface FetchOfObjects {
  readonly args: readonly string[];
  readonly input: string;
}

/**
 * Fetches what a `blob:none` left out and no ODB has, in one go.
 *
 * @param all what the ODBs have, too, from each in one go
 */
export async function fetchLeftOut(
  repo: Repository,
  remote: string,
  { stored }: CloneFilter,
  all: boolean,
  run: (fetch: FetchOfObjects) => Promise<void>,
): Promise<void> {
  const missing = new Set(await missingInHistory(repo, { revisions: ["--all"] }));
  for (const [name, oids] of stored) {
    const wanted = [...missing].filter((oid) => oids.has(oid));
    for (const oid of wanted) missing.delete(oid);
    if (all && wanted.length > 0) await run(fetchOf(promisorRemoteName(name), wanted));
  }
  if (missing.size > 0) await run(fetchOf(remote, [...missing]));
}

/** The command by which git itself fetches what it misses (promisor-remote.c). */
function fetchOf(remote: string, oids: readonly ObjectId[]): FetchOfObjects {
  const args = [
    ...["-c", "fetch.negotiationAlgorithm=noop", "-c", "gc.auto=0", "fetch", remote, "--quiet", "--no-tags"],
    ...["--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin"],
  ];
  return { args, input: oids.map((oid) => `${oid}\n`).join("") };
}
