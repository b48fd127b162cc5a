/** `git odb bundle clone`: a new repository by bundles first, the rest from its remote. */

import { OdbError } from "../errors.js";
import { checkOut, setHead, setRemoteHead } from "../repo/clone-checkout.js";
import { claimFolder } from "../repo/clone-folder.js";
import {
  askRemote,
  type CloneHead,
  chooseHead,
  folderOf,
  type RemoteRefs,
  sourceUrl,
} from "../repo/clone-source.js";
import {
  historyRefspecs,
  remoteSettings,
  setPartial,
  setRemote,
  startClone,
  trackingSettings,
} from "../repo/clone-start.js";
import { getConfig, setConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import type { GitOptions } from "../repo/process.js";
import { updateRefs } from "../repo/update-ref.js";
import { fetchBundles } from "./fetch.js";
import type { BundleFilter } from "./files.js";
import type { FetchOptions, FetchResult } from "./intake.js";
import { readTable } from "./read-table.js";
import { newBundleConfig } from "./state.js";

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
  /** The bundles lacked something, which the remote has sent. */
  readonly isFetched: boolean;
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
  // git starts while we get ready for HTTP.
  const [remote, table] = await Promise.all([
    askRemote(url, gitOptions(options)),
    readTable(tableUrl, options),
  ]);
  const head = await chooseHead(remote, undefined);
  const config = newBundleConfig(tableUrl, table, filter !== undefined);
  const branch = branchOf(head);
  const tracking = branch === undefined ? [] : trackingSettings(branch, REMOTE);
  const settings = [...remoteSettings(REMOTE, url), ...config.settings, ...tracking];
  const repo = await startClone(folder, remote, head, gitOptions(options), settings);
  if (filter !== undefined) await setPromisor(repo, filter);
  const isNew = !folder.continued;
  const clone: Clone = { options, repo, remote, head, isNew };
  let isFetched = false;
  const result = await fetchBundles(
    repo,
    tableUrl,
    table,
    {
      ...options,
      meanwhile: () => (isNew ? setRebase(repo, branch) : setRemote(repo, REMOTE, url)),
      async afterwards(fetched, marked) {
        isFetched = await setRefs(clone, fetched, marked);
        await marked;
        await folder.complete();
      },
    },
    isNew ? config : undefined,
  );
  if (head === undefined) warn("the remote repository has no HEAD: nothing was checked out");
  else await checkOut(repo, head, async (args) => void (await repo.run(args, loud(options))), options.signal);
  return { ...result, directory: folder.path, isFetched };
}

function branchOf(head: CloneHead | undefined): string | undefined {
  return head !== undefined && "branch" in head ? head.branch : undefined;
}

async function setPromisor(repo: Repository, filter: BundleFilter): Promise<void> {
  await setConfig(repo, `remote.${REMOTE}.promisor`, "true");
  await setConfig(repo, `remote.${REMOTE}.partialclonefilter`, filter);
  await setPartial(repo, REMOTE);
}

/** A clone whose repository is there. */
interface Clone {
  readonly options: CloneOptions;
  readonly repo: Repository;
  readonly remote: RemoteRefs;
  readonly head: CloneHead | undefined;
  /** No earlier run has begun it. */
  readonly isNew: boolean;
}

/**
 * Writes the clone's refs: as the remote has told them, if the bundles have brought all that these reach; else what they
 * lack is fetched.
 *
 * @returns whether something was fetched
 */
async function setRefs(clone: Clone, { tips }: FetchResult, marked: Promise<void>): Promise<boolean> {
  const { repo, head, remote, isNew } = clone;
  const branch = branchOf(head);
  const wanted = [...remote.refs].filter(([ref]) => /^refs\/(?:heads|tags)\//.test(ref));
  const isAllHere = branch !== undefined && wanted.every(([, oid]) => tips.has(oid));
  const takeAll = () => {
    const local = (ref: string) => ref.replace(/^refs\/heads\//, `refs/remotes/${REMOTE}/`);
    return updateRefs(
      repo,
      wanted.map(([ref, oid]) => ({ ref: local(ref), oid })),
    );
  };
  if (isNew && isAllHere && head !== undefined) {
    // At once, as none concerns the others, nor the config: a git costs 4 ms.
    await Promise.all([takeAll(), makeBranch(clone, branch), setRemoteHead(repo, REMOTE, head, remote)]);
    return false;
  }
  await marked;
  await (isAllHere ? takeAll() : fetchRest(clone));
  if (head !== undefined) await setHead(repo, REMOTE, head, remote);
  return !isAllHere;
}

/** What it follows is in the config from the beginning. The reflog begins as that of `git clone`. */
async function makeBranch({ repo, remote, options }: Clone, branch: string): Promise<void> {
  const oid = remote.refs.get(branch);
  if (oid === undefined) throw new OdbError("bug", `${branch} is not the remote's`);
  await repo.run(["update-ref", "-m", `clone: from ${sourceUrl(options.url)}`, branch, oid]);
}

/** As `git branch --track` does for who wants it for every branch. */
async function setRebase(repo: Repository, branch: string | undefined): Promise<void> {
  if (branch === undefined) return;
  const wanted = await getConfig(repo, "branch.autoSetupRebase");
  if (wanted !== "always" && wanted !== "remote") return;
  await setConfig(repo, `branch.${branch.replace("refs/heads/", "")}.rebase`, "true");
}

/** What the bundles lack; the server is told of what they brought, by refs/bundles. */
async function fetchRest({ repo, options, head }: Clone): Promise<void> {
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
