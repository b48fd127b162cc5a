/** The beginning of a clone: an empty repository that knows its remote. Each step can be done again. */

import { realpathSync } from "node:fs";
import { join } from "node:path";
import type { HashAlgorithm } from "../object/id.js";
import type { CloneFolder } from "./clone-folder.js";
import type { CloneHead, RemoteRefs } from "./clone-source.js";
import { setConfig } from "./config.js";
import type { Setting } from "./config-text.js";
import { openRepository, type Repository, repositoryAt } from "./git.js";
import { type GitOptions, runGit } from "./process.js";

/**
 * Takes away what would make git work in another repository: as with `git clone`, the one that the command was started in,
 * or by (a hook, an alias), has no part in it. For the whole process.
 */
export function leaveRepository(): void {
  const names = ["DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "PREFIX", "NAMESPACE"];
  for (const name of names) delete process.env[`GIT_${name}`];
}

/**
 * Makes the repository, in a folder that was claimed, of the remote's hash and with HEAD at its branch.
 *
 * @param settings for the config of one that was not begun before
 */
export async function startClone(
  folder: CloneFolder,
  { hash = "sha1" }: RemoteRefs,
  head: CloneHead | undefined,
  options: GitOptions = {},
  settings: readonly Setting[] = [],
): Promise<Repository> {
  await folder.begin({ settings });
  const branch = head !== undefined && "branch" in head ? head.branch : undefined;
  const args = ["init", "--quiet", `--object-format=${hash}`];
  // Of a repository that was begun, git would not take it.
  if (branch !== undefined && !folder.continued) {
    args.push(`--initial-branch=${branch.replace("refs/heads/", "")}`);
  }
  await runGit([...args, "--", folder.path], options);
  // Where git has just made it need not be asked.
  if (!folder.continued) return newRepository(folder.path, hash);
  const repo = await openRepository(folder.path);
  if (branch !== undefined) await repo.run(["symbolic-ref", "HEAD", branch]);
  return repo;
}

function newRepository(path: string, hash: HashAlgorithm): Repository {
  const workTree = realpathSync(path);
  const gitDir = join(workTree, ".git");
  const objectsDir = join(gitDir, "objects");
  return repositoryAt({ gitDir, commonDir: gitDir, objectsDir, workTree, bare: false, hash });
}

/** The remote, as `git remote add` writes it. */
export function remoteSettings(remote: string, url: string): readonly Setting[] {
  return [
    [`remote.${remote}.url`, url],
    [`remote.${remote}.fetch`, branchesOf(remote)],
  ];
}

/** What a branch follows, as `git branch --track` writes it. */
export function trackingSettings(branch: string, remote: string): readonly Setting[] {
  const name = branch.replace("refs/heads/", "");
  return [
    [`branch.${name}.remote`, remote],
    [`branch.${name}.merge`, branch],
  ];
}

/** Writes the remote into a config that is there. */
export async function setRemote(repo: Repository, remote: string, url: string): Promise<void> {
  for (const [key, value] of remoteSettings(remote, url)) await setConfig(repo, key, value);
}

/** What a clone fetches. */
export function historyRefspecs(remote: string): string[] {
  return [branchesOf(remote), "+refs/tags/*:refs/tags/*"];
}

function branchesOf(remote: string): string {
  return `+refs/heads/*:refs/remotes/${remote}/*`;
}

/**
 * Makes it a partial clone in name, too, as `git clone --filter` does: a git that knows no such thing (the reference
 * client) then refuses the repository instead of finding it broken.
 */
export async function setPartial(repo: Repository, remote: string): Promise<void> {
  await setConfig(repo, "core.repositoryFormatVersion", "1");
  await setConfig(repo, "extensions.partialClone", remote);
}
