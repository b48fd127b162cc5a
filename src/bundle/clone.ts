/** `git odb bundle clone`: a new repository by bundles first, the rest from its remote. */

import { checkOut, setHead } from "../repo/clone-checkout.js";
import { claimFolder } from "../repo/clone-folder.js";
import {
  askRemote,
  type CloneHead,
  chooseHead,
  folderOf,
  type RemoteRefs,
  sourceUrl,
} from "../repo/clone-source.js";
import { historyRefspecs, setPartial, setRemote, startClone } from "../repo/clone-start.js";
import { setConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import type { GitOptions } from "../repo/process.js";
import { updateRefs } from "../repo/update-ref.js";
import { fetchBundles } from "./fetch.js";
import type { BundleFilter } from "./files.js";
import type { FetchOptions, FetchResult } from "./intake.js";
import { readTable } from "./read-table.js";

/** What is to be cloned. */
export interface CloneOptions extends FetchOptions {
  /** As git takes it: any URL, or a path. */
  readonly url: string;
  /** Of the table of bundles. */
  readonly tableUrl: string;
  /** Where to. Default: the last part of the URL, as git does. */
  readonly directory?: string | undefined;
  readonly filter?: BundleFilter | undefined;
  /** Let git show its progress and messages. */
  readonly isLoud: boolean;
}

/** What came of it. */
export interface CloneResult extends FetchResult {
  /** The new repository's folder. */
  readonly directory: string;
}

/** What the remote is called. */
const REMOTE = "origin";

/**
 * Clones. A run that was interrupted leaves its folder, and the same call goes on in it. The remote and the table are
 * asked before a folder is made.
 *
 * @throws OdbError config, when the table is bad or the remote is no repository; conflict, when the folder is taken
 */
export async function cloneByBundles(options: CloneOptions): Promise<CloneResult> {
  const { tableUrl, filter, warn } = options;
  const url = sourceUrl(options.url);
  const directory = options.directory ?? folderOf(url);
  const words = ["bundle clone", url, tableUrl, filter ?? ""];
  await using folder = await claimFolder({ directory, words, onFailure: "leave" });
  const [table, remote] = await Promise.all([
    readTable(tableUrl, options),
    askRemote(url, gitOptions(options)),
  ]);
  const head = await chooseHead(remote, undefined);
  const repo = await startClone(folder, remote, head, gitOptions(options));
  if (filter !== undefined) await setPromisor(repo, filter);
  const meanwhile = () => setRemote(repo, REMOTE, url);
  const result = await fetchBundles(repo, tableUrl, table, { ...options, meanwhile });
  if (!(await takeAllFrom(repo, remote, head, result))) await fetchRest(repo, options, head);
  if (head !== undefined) await setHead(repo, REMOTE, head, remote);
  await folder.complete();
  if (head === undefined) warn("the remote repository has no HEAD: nothing was checked out");
  else await checkOut(repo, head, async (args) => void (await repo.run(args, loud(options))), options.signal);
  return { ...result, directory: folder.path };
}

async function setPromisor(repo: Repository, filter: BundleFilter): Promise<void> {
  await setConfig(repo, `remote.${REMOTE}.promisor`, "true");
  await setConfig(repo, `remote.${REMOTE}.partialclonefilter`, filter);
  await setPartial(repo, REMOTE);
}

/**
 * Writes the remote's refs as they were when it was asked, if the bundles have brought all that these reach.
 *
 * @returns false when there is something to fetch
 */
async function takeAllFrom(
  repo: Repository,
  { refs }: RemoteRefs,
  head: CloneHead | undefined,
  { tips }: FetchResult,
): Promise<boolean> {
  const wanted = [...refs].filter(([ref]) => /^refs\/(?:heads|tags)\//.test(ref));
  if (head === undefined || "detached" in head || !wanted.every(([, oid]) => tips.has(oid))) return false;
  const local = (ref: string) => ref.replace(/^refs\/heads\//, `refs/remotes/${REMOTE}/`);
  await updateRefs(
    repo,
    wanted.map(([ref, oid]) => ({ ref: local(ref), oid })),
  );
  return true;
}

/** What the bundles lack; the server is told of what they brought, by refs/bundles. */
async function fetchRest(
  repo: Repository,
  options: CloneOptions,
  head: CloneHead | undefined,
): Promise<void> {
  const { filter, isLoud } = options;
  const quiet = isLoud ? [] : ["-q"];
  const filtered = filter === undefined ? [] : [`--filter=${filter}`];
  const refspecs = historyRefspecs(REMOTE);
  if (head !== undefined && "detached" in head) refspecs.push(head.ref);
  const args = ["fetch", ...quiet, ...filtered, "--no-write-fetch-head", "--", REMOTE, ...refspecs];
  await repo.run(["-c", "gc.auto=0", ...args], loud(options));
}

function gitOptions({ signal }: CloneOptions): GitOptions {
  return signal === undefined ? {} : { signal };
}

function loud(options: CloneOptions): GitOptions {
  return { ...gitOptions(options), ...(options.isLoud && ({ stderr: "inherit" } as const)) };
}
