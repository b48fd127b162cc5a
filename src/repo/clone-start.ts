/** The beginning of a clone: an empty repository that knows its remote. Each step can be done again. */

import type { CloneFolder } from "./clone-folder.js";
import type { CloneHead, RemoteRefs } from "./clone-source.js";
import { setConfig } from "./config.js";
import { openRepository, type Repository } from "./git.js";
import { type GitOptions, runGit } from "./process.js";

/**
 * Takes away what would make git work in another repository: as with `git clone`, the one that the command was started in,
 * or by (a hook, an alias), has no part in it. For the whole process.
 */
export function leaveRepository(): void {
  const names = ["DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "PREFIX", "NAMESPACE"];
  for (const name of names) delete process.env[`GIT_${name}`];
}

/** Makes the repository, in a folder that was claimed, of the remote's hash and with HEAD at its branch. */
export async function startClone(
  folder: CloneFolder,
  { hash }: RemoteRefs,
  head: CloneHead | undefined,
  options: GitOptions = {},
): Promise<Repository> {
  await folder.begin();
  const branch = head !== undefined && "branch" in head ? head.branch : undefined;
  const args = ["init", "--quiet", `--object-format=${hash ?? "sha1"}`];
  // Of a repository that was begun, git would not take it.
  if (branch !== undefined && !folder.continued) {
    args.push(`--initial-branch=${branch.replace("refs/heads/", "")}`);
  }
  await runGit([...args, "--", folder.path], options);
  const repo = await openRepository(folder.path);
  if (branch !== undefined && folder.continued) await repo.run(["symbolic-ref", "HEAD", branch]);
  return repo;
}

/** Writes the remote, as `git remote add` does. */
export async function setRemote(repo: Repository, remote: string, url: string): Promise<void> {
  await setConfig(repo, `remote.${remote}.url`, url);
  await setConfig(repo, `remote.${remote}.fetch`, branchesOf(remote));
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
