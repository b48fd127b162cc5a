/**
 * Promise trees between a server and its clones: the server promises what the store has proved to hold, a clone gets the
 * same trees, and `git push` leaves out what they name (git-send-pack(1) sends nothing that is below an object which the
 * server advertises and the client has).
 */

import type { CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { infosOf } from "../repo/cat-file.js";
import { readConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import type { GitOptions } from "../repo/process.js";
import { inParallel } from "../store/parallel.js";
import { PROMISE_PREFIX, promiseBlobs, readPromised } from "./promise.js";
import { promisorRemotes } from "./promisor-remote.js";
import { readMetadata } from "./refs.js";
import type { Odb } from "./session.js";

/** Copies proved at the same time, if `odb.<name>.concurrency` does not say. */
const CONCURRENCY = 8;

/**
 * On a server: promises the blobs that metadata refs name, as far as the store proves to have them. Nothing is dropped.
 *
 * @returns what was promised now
 * @throws OdbError integrity, when the store has wrong bytes; what the store throws: then nothing was promised
 */
export async function promiseStored(odb: Odb, options: CallOptions = {}): Promise<readonly ObjectInfo[]> {
  const { infos } = await readMetadata(odb.repo, odb.name);
  const { oids: promised } = await readPromised(odb.repo, odb.name);
  const news = [...infos.values()].filter(({ oid, type }) => type === "blob" && !promised.has(oid));
  if (news.length === 0) return [];
  const store = await odb.store();
  async function* asked() {
    yield* news;
  }
  const verify = async ({ oid }: ObjectInfo) => {
    options.signal?.throwIfAborted();
    return await store.verify(oid, options);
  };
  const proved: ObjectInfo[] = [];
  for await (const info of inParallel(asked(), odb.config.concurrency ?? CONCURRENCY, verify)) {
    if (info.type === "blob") proved.push(info);
  }
  if (proved.length > 0) {
    await promiseBlobs(
      odb.repo,
      odb.name,
      proved.map(({ oid }) => oid),
    );
  }
  return proved;
}

/** Options of {@link fetchPromises}. */
export interface FetchPromisesOptions {
  /** The remote's refs, if they are known. */
  readonly refs?: ReadonlyMap<string, ObjectId>;
  readonly signal?: AbortSignal;
}

/**
 * In a clone that leaves blobs to its remote (a promisor): fetches the promise trees of the remote that are not here, and
 * no blob. In any other clone they are not fetched: git gc would no longer keep the blobs that they name.
 *
 * @returns how many came
 * @throws OdbError with git's own line, when the remote cannot be asked
 */
export async function fetchPromises(
  repo: Repository,
  remote: string,
  options: FetchPromisesOptions = {},
): Promise<number> {
  if (!promisorRemotes(await readConfig(repo)).includes(remote)) return 0;
  const git: GitOptions = options.signal === undefined ? {} : { signal: options.signal };
  const advertised = [...(options.refs ?? (await promisesOf(repo, remote, git)))].filter(([ref]) =>
    ref.startsWith(PROMISE_PREFIX),
  );
  const oids = advertised.map(([, oid]) => oid);
  const wanted: string[] = [];
  let at = 0;
  for await (const info of infosOf(repo, oids)) {
    const [ref] = advertised[at++] ?? [];
    if (info === undefined && ref !== undefined) wanted.push(ref);
  }
  if (wanted.length === 0) return 0;
  const flags = [
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--recurse-submodules=no",
    "--filter=blob:none",
  ];
  await repo.run(["-c", "gc.auto=0", "fetch", ...flags, "--", remote, ...wanted], git);
  return wanted.length;
}

async function promisesOf(
  repo: Repository,
  remote: string,
  options: GitOptions,
): Promise<Map<string, ObjectId>> {
  const found = new Map<string, ObjectId>();
  for await (const line of repo.runLines(["ls-remote", "--", remote, `${PROMISE_PREFIX}*`], options)) {
    const [oid = "", ref = ""] = line.split("\t");
    if (!isObjectId(oid))
      throw new OdbError("protocol", `git ls-remote: ${JSON.stringify(line.slice(0, 80))}`);
    found.set(ref, oid);
  }
  return found;
}
