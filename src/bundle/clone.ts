/** `git odb bundle clone`: a new repository by bundles first, the rest from its remote. */

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
import { setConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import { runGit } from "../repo/process.js";
import { ifAbsent } from "./download.js";
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

/**
 * Clones. A run that was interrupted leaves its folder, and the same call goes on in it. The remote and the table are
 * asked before a folder is made.
 *
 * @throws OdbError config, when the table is bad or the remote is no repository; conflict, when the folder is taken
 */
export async function cloneByBundles(options: CloneOptions): Promise<CloneResult> {
  const url = existsSync(options.url) ? resolve(options.url) : options.url;
  const directory = resolve(options.directory ?? folderName(options.url));
  const request = `${JSON.stringify({ url, table: options.tableUrl, filter: options.filter })}\n`;
  await checkFolder(directory, request);
  const table = await readTable(options.tableUrl, options);
  const remote = await lookAt(url);
  const repo = await begin(directory, request, url, remote, options);
  const result = await fetchBundles(repo, options.tableUrl, table, options);
  await fetchRest(repo, options);
  await checkOut(repo, remote, options);
  await rm(markOf(repo.commonDir));
  return { ...result, directory };
}

/** The folder git makes of a URL: its last part, without `.git`. @throws OdbError invalid */
export function folderName(url: string): string {
  const name = /([^/:\\]+?)(?:\/?\.git)?\/*$/.exec(url.replace(/[?#].*$/, ""))?.[1] ?? "";
  if (name !== "" && name !== "." && name !== "..") return name;
  throw new OdbError("invalid", `cannot tell a folder's name from ${JSON.stringify(url)}: name one`);
}

/** What a clone that is not finished was asked for. */
function markOf(gitDir: string): string {
  return join(gitDir, "odb-bundles-clone");
}

/** The folder must be absent, empty, or hold the beginning of the same clone. */
async function checkFolder(directory: string, request: string): Promise<void> {
  const found = await readdir(directory).catch(ifAbsent<string[]>([]));
  const begun = await readFile(markOf(join(directory, ".git")), "utf8").catch(ifAbsent(""));
  if (found.length === 0 || begun === request) return;
  const what =
    begun === "" ? "is there already and not empty" : `holds the beginning of another clone: ${begun.trim()}`;
  throw new OdbError("conflict", `${directory} ${what}`);
}

/** What the remote's HEAD is. */
interface Remote {
  readonly hash: HashAlgorithm;
  /** `refs/heads/main`; undefined when it is detached or not there. */
  readonly branch?: string | undefined;
  /** undefined in an empty repository. */
  readonly head?: string | undefined;
}

async function lookAt(url: string): Promise<Remote> {
  const env = { GIT_DIR: undefined, GIT_WORK_TREE: undefined };
  const { stdout } = await runGit(["ls-remote", "--symref", "--", url, "HEAD"], { env });
  const branch = /^ref: (refs\/heads\/\S+)\tHEAD$/m.exec(stdout.toString())?.[1];
  const head = /^([0-9a-f]{40,64})\tHEAD$/m.exec(stdout.toString())?.[1];
  return { hash: head?.length === 64 ? "sha256" : "sha1", branch, head };
}

/** Makes the repository, or as much of it as an earlier run has not made. */
async function begin(
  directory: string,
  request: string,
  url: string,
  { hash }: Remote,
  { filter }: CloneOptions,
): Promise<Repository> {
  const env = { GIT_DIR: undefined, GIT_WORK_TREE: undefined };
  const format = hash === "sha1" ? [] : [`--object-format=${hash}`];
  try {
    await mkdir(join(directory, ".git"), { recursive: true });
    await writeFile(markOf(join(directory, ".git")), request);
  } catch (error) {
    throw toOdbError(error);
  }
  await runGit(["init", "-q", ...format, directory], { env });
  const repo = await openRepository(directory);
  await setConfig(repo, "remote.origin.url", url);
  await setConfig(repo, "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*");
  if (filter !== undefined) {
    await setConfig(repo, "remote.origin.promisor", "true");
    await setConfig(repo, "remote.origin.partialclonefilter", filter);
  }
  return repo;
}

/** What the bundles lack; the server is told of what they brought, by refs/bundles. */
async function fetchRest(repo: Repository, { filter, isLoud, signal }: CloneOptions): Promise<void> {
  const refspecs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
  const quiet = isLoud ? [] : ["-q"];
  const filtered = filter === undefined ? [] : [`--filter=${filter}`];
  await repo.run(
    ["-c", "gc.auto=0", "fetch", ...quiet, ...filtered, "origin", ...refspecs],
    loud(isLoud, signal),
  );
}

async function checkOut(
  repo: Repository,
  remote: Remote,
  { isLoud, signal, warn }: CloneOptions,
): Promise<void> {
  const { branch, head } = remote;
  if (head === undefined) return warn("the remote repository has no HEAD: nothing was checked out");
  const quiet = isLoud ? [] : ["-q"];
  if (branch === undefined) {
    await repo.run(["checkout", ...quiet, "--detach", head], loud(isLoud, signal));
    return;
  }
  const name = branch.slice("refs/heads/".length);
  await repo.run(["symbolic-ref", "refs/remotes/origin/HEAD", `refs/remotes/origin/${name}`]);
  await repo.run(["checkout", ...quiet, "-B", name, "--track", `origin/${name}`], loud(isLoud, signal));
}

function loud(isLoud: boolean, signal: AbortSignal | undefined) {
  return { ...(isLoud && ({ stderr: "inherit" } as const)), ...(signal && { signal }) };
}
