/** The end of a clone: its HEAD, its branch and its work tree, as `git clone` leaves them. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { CloneHead, RemoteRefs } from "./clone-source.js";
import type { Repository } from "./git.js";

/** Points HEAD where a clone without a checkout has it, and the remote's HEAD to its branch. */
export async function setHead(
  repo: Repository,
  remote: string,
  head: CloneHead,
  remoteRefs: RemoteRefs,
): Promise<void> {
  // At once, as neither concerns the other: a git costs 4 ms.
  await Promise.all([setRemoteHead(repo, remote, head, remoteRefs), setOwnHead(repo, remote, head)]);
}

/** Points the remote's HEAD to the branch that it names, or that was chosen. */
export async function setRemoteHead(
  repo: Repository,
  remote: string,
  head: CloneHead,
  { headBranch, refs }: RemoteRefs,
): Promise<void> {
  const remoteHead = headBranch ?? ("branch" in head ? head.branch : undefined);
  if (remoteHead === undefined || !refs.has(remoteHead)) return;
  const name = remoteHead.replace("refs/heads/", "");
  await repo.run(["symbolic-ref", `refs/remotes/${remote}/HEAD`, `refs/remotes/${remote}/${name}`]);
}

async function setOwnHead(repo: Repository, remote: string, head: CloneHead): Promise<void> {
  if ("branch" in head) {
    const name = head.branch.replace("refs/heads/", "");
    const tracked = `refs/remotes/${remote}/${name}`;
    const made = await repo.run(["show-ref", "--verify", "--quiet", head.branch], { okStatus: [0, 1] });
    if (made.status === 1) await repo.run(["branch", "--quiet", "--track", name, tracked]);
    else {
      // An interrupted run has made it, maybe not its settings, and the remote's may have moved since.
      await repo.run(["update-ref", head.branch, tracked]);
      await repo.run(["branch", "--quiet", `--set-upstream-to=${tracked}`, name]);
    }
  } else await repo.run(["update-ref", "--no-deref", "HEAD", `${head.detached}^{commit}`]);
}

/**
 * Writes the work tree. What is missing comes in one batch: git collects it before it writes a file.
 *
 * @param run runs git, and shows what it says
 * @throws OdbError that says how to go on in the clone, which stays
 */
export async function checkOut(
  repo: Repository,
  head: CloneHead,
  run: (args: readonly string[]) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const what = "branch" in head ? [head.branch.replace("refs/heads/", "")] : ["--detach", head.detached];
  try {
    await run(["checkout", "--quiet", "--force", ...what, "--"]);
  } catch (error) {
    signal?.throwIfAborted();
    // Of a git that was killed: it would stop the next one.
    await rm(join(repo.gitDir, "index.lock"), { force: true });
    const { code, message } = toOdbError(error);
    throw new OdbError(
      code,
      `${message}; the clone is complete, but its checkout failed: run "git checkout --force" in ${repo.name}`,
      { cause: error },
    );
  }
}
