/** The end of a clone: its HEAD, its branch and its work tree, as `git clone` leaves them. */

import type { Repository } from "../repo/git.js";
import type { CloneHead, RemoteRefs } from "./clone-source.js";

/** Points HEAD where a clone without a checkout has it, and the remote's HEAD to its branch. */
export async function setHead(
  repo: Repository,
  remote: string,
  head: CloneHead,
  { headBranch, refs }: RemoteRefs,
): Promise<void> {
  const remoteHead = headBranch ?? ("branch" in head ? head.branch : undefined);
  if (remoteHead !== undefined && refs.has(remoteHead)) {
    const name = remoteHead.replace("refs/heads/", "");
    await repo.run(["symbolic-ref", `refs/remotes/${remote}/HEAD`, `refs/remotes/${remote}/${name}`]);
  }
  if ("branch" in head) {
    const name = head.branch.replace("refs/heads/", "");
    await repo.run(["branch", "--quiet", "--track", name, `refs/remotes/${remote}/${name}`]);
  } else await repo.run(["update-ref", "--no-deref", "HEAD", `${head.detached}^{commit}`]);
}

/** Writes the work tree. What is missing comes in one batch: git collects it before it writes a file. */
export async function checkOut(
  head: CloneHead,
  run: (args: readonly string[]) => Promise<void>,
): Promise<void> {
  const what = "branch" in head ? [head.branch.replace("refs/heads/", "")] : ["--detach", head.detached];
  await run(["checkout", "--quiet", "--force", ...what, "--"]);
}
