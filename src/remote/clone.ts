/**
 * Clones a repository whose big blobs are in an ODB, with a stock git: the metadata refs first, then the ODB's settings,
 * then the rest without what the ODB has.
 */

import { OdbError, toOdbError } from "../errors.js";
import { fetchPromises } from "../odb/server-promise.js";
import { type Odb, openOdb } from "../odb/session.js";
import { checkOut, setHead } from "../repo/clone-checkout.js";
import { type CloneFolder, claimFolder } from "../repo/clone-folder.js";
import { askRemote, type CloneHead, chooseHead, type RemoteRefs } from "../repo/clone-source.js";
import { historyRefspecs, setPartial, setRemote, startClone } from "../repo/clone-start.js";
import { setConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import { type GitOptions, runGit } from "../repo/process.js";
import { type CloneFilter, chooseFilter, fetchLeftOut } from "./clone-filter.js";
import { type ProposedOdb, setUpOdbs } from "./clone-odbs.js";
import { isOdbUrl } from "./clone-url.js";

/** What to clone, and how. */
export interface CloneOptions {
  /** As `cloneUrl` gives it. */
  readonly url: string;
  readonly directory: string;
  /** Fetched before anything else. Default {@link INITIAL_REFSPEC}. */
  readonly initialRefspecs?: readonly string[];
  /** `--filter`; false: none, everything is fetched. Undefined: what the ODBs have is left out. */
  readonly filter?: string | false;
  /** Default `origin`. */
  readonly remote: string;
  /** A branch or tag to check out instead of the remote's HEAD. */
  readonly branch?: string;
  readonly checkout: boolean;
  readonly submodules: boolean;
  /** What git itself shows: nothing, its progress, or only what it warns of. */
  readonly output: "quiet" | "progress" | "plain";
  readonly signal: AbortSignal;
}

/** What the caller decides and tells while a clone is under way. */
export interface CloneHooks {
  /** Whether this store, which the remote proposes, may be used. */
  accept(proposed: ProposedOdb): Promise<boolean>;
  /** Fetches and unbundles what `refs/odbs/<name>/bundle` names, if there is one. */
  bundle(odb: Odb): Promise<void>;
  warn(line: string): void;
  note(line: string): void;
}

/** The metadata refs, published settings and bundles of every ODB. */
export const INITIAL_REFSPEC = "+refs/odbs/*:refs/odbs/*";

/**
 * Clones. Until the history is there, a failure or an interruption removes what was made, and after a kill the same call
 * goes on with what is left; a checkout that fails leaves the repository, as with `git clone`.
 *
 * @throws OdbError conflict, when the directory is not empty; config, when the remote cannot be cloned; aborted
 */
export async function cloneRepository(options: CloneOptions, hooks: CloneHooks): Promise<void> {
  const { url, remote: name, branch = "", filter = "", initialRefspecs = [] } = options;
  const words = ["clone", url, name, branch, String(filter), ...initialRefspecs];
  const request = { directory: options.directory, words, onFailure: "remove" } as const;
  await using folder = await claimFolder(request);
  const remote = await askRemote(url, gitOptions(options));
  const clone: Clone = { ...options, folder, refs: remote, hooks };
  const head = remote.refs.size === 0 ? undefined : await chooseHead(remote, options.branch);
  const repo = await (remote.refs.size === 0 || isOdbUrl(url)
    ? cloneByGit(clone)
    : cloneInSteps(clone, head));
  options.signal.throwIfAborted();
  await folder.complete();
  if (remote.refs.size === 0) return;
  if (head === undefined) {
    hooks.warn("remote HEAD refers to nonexistent ref, unable to checkout");
  } else if (options.checkout) await finish(repo, clone, head);
}

/** A clone under way. */
interface Clone extends CloneOptions {
  readonly folder: CloneFolder;
  readonly refs: RemoteRefs;
  readonly hooks: CloneHooks;
}

/** An empty remote, or one that git reaches by our own remote helper, which leaves out the big blobs itself. */
async function cloneByGit(clone: Clone): Promise<Repository> {
  const { url, folder, refs, branch, filter } = clone;
  const isEmpty = refs.refs.size === 0;
  const marks = (await folder.begin({ anew: true })).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  const args = ["clone", ...marks, "--origin", clone.remote, ...outputArgs(clone)];
  if (!isEmpty || !clone.checkout) args.push("--no-checkout");
  if (branch !== undefined) args.push("--branch", branch);
  if (filter) args.push(`--filter=${filter}`);
  await runShown(runGit, [...args, "--", url, folder.path], clone);
  const repo = await openRepository(folder.path);
  if (isEmpty) return repo;
  await fetchMetadata(repo, clone);
  await setUpOdbs(repo, clone.hooks);
  return repo;
}

async function cloneInSteps(clone: Clone, head: CloneHead | undefined): Promise<Repository> {
  const { url, folder, refs, remote, hooks } = clone;
  const repo = await startClone(folder, refs, head, gitOptions(clone));
  await fetchMetadata(repo, clone);
  // Before the remote itself: git asks promisors in the order of the config.
  const odbs = await setUpOdbs(repo, hooks);
  await setRemote(repo, remote, url);
  for (const name of odbs.usable) {
    await using odb = await openOdb(repo, name, { warn: hooks.warn });
    await hooks.bundle(odb);
    clone.signal.throwIfAborted();
  }
  const filter = await chooseFilter(repo, { asked: clone.filter, odbs, refs: refs.refs });
  await fetchRest(repo, clone, filter, head);
  if (head !== undefined) await setHead(repo, remote, head, refs);
  return repo;
}

/** The metadata refs. They are many and small: packed, or each later git would open a file for each. */
async function fetchMetadata(repo: Repository, clone: Clone): Promise<void> {
  const { url, initialRefspecs, refs } = clone;
  const hasMetadata = [...refs.refs.keys()].some((ref) => ref.startsWith("refs/odbs/"));
  if (initialRefspecs === undefined && !hasMetadata) return;
  const refspecs = initialRefspecs ?? [INITIAL_REFSPEC];
  const args = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url, ...refspecs];
  await runShown(repo.run, ["-c", "gc.auto=0", ...args], clone);
  await repo.run(["pack-refs", "--all"]);
}

async function fetchRest(
  repo: Repository,
  clone: Clone,
  filter: CloneFilter,
  head: CloneHead | undefined,
): Promise<void> {
  const { remote, hooks } = clone;
  const args = ["fetch", ...outputArgs(clone), "--no-write-fetch-head"];
  if (filter.spec !== undefined) {
    // Only by the user's own choice: then the reference client cannot use it any more.
    if (clone.filter) await setPartial(repo, remote);
    hooks.note(filter.note);
    args.push(`--filter=${filter.spec}`);
  }
  args.push("--", remote, ...historyRefspecs(remote));
  if (head !== undefined && "detached" in head && head.ref === "HEAD") args.push("HEAD");
  await runShown(repo.run, ["-c", "gc.auto=0", ...args], clone);
  await repo.run(["pack-refs", "--all"]);
  if (!filter.exact) return;
  const all = clone.filter === false;
  await fetchLeftOut(repo, remote, filter, all, (more) => runShown(repo.run, more.args, clone, more));
  await fetchPromises(repo, remote, { refs: clone.refs.refs, signal: clone.signal });
}

/** What can be done again in the clone, which stays. */
async function finish(repo: Repository, clone: Clone, head: CloneHead): Promise<void> {
  const run = (args: readonly string[]) => runShown(repo.run, args, clone);
  await checkOut(repo, head, run, clone.signal);
  if (!clone.submodules) return;
  await setConfig(repo, "submodule.active", ".");
  const update = ["submodule", "update", "--init", "--recursive"];
  await run(update).catch((error: unknown) => {
    clone.signal.throwIfAborted();
    const { code, message } = toOdbError(error);
    const then = `the clone is complete but for submodules: run "git ${update.join(" ")}" in ${repo.name}`;
    throw new OdbError(code, `${message}; ${then}`, { cause: error });
  });
}

/** Runs a git of the clone: its progress is shown as it comes, or what it warned of afterwards. */
async function runShown(
  run: Repository["run"],
  args: readonly string[],
  clone: Clone,
  more: GitOptions = {},
): Promise<void> {
  const shown = clone.output === "progress";
  const options = { ...gitOptions(clone), ...more, ...(shown && { stderr: "inherit" as const }) };
  const { stderr } = await run(args, options).catch((error: unknown) => {
    clone.signal.throwIfAborted();
    throw error;
  });
  for (const line of stderr.split("\n")) {
    if (line.startsWith("warning: ")) clone.hooks.warn(line.slice("warning: ".length));
    else if (line.startsWith("remote: ") && clone.output !== "quiet") clone.hooks.note(line);
  }
}

function outputArgs({ output }: CloneOptions): string[] {
  return output === "progress" ? ["--progress"] : ["--quiet"];
}

function gitOptions({ signal }: CloneOptions): GitOptions {
  return { signal };
}
