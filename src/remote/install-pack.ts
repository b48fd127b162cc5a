/** Brings a pack into the repository by `git index-pack`. */

import { join } from "node:path";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { Repository } from "../repo/git.js";

/** Where it goes, and how. */
export interface Installation {
  readonly repo: Repository;
  /** Whether git's own progress is to be seen on stderr. */
  readonly progress: boolean;
  /** Check the objects' form, as `transfer.fsckObjects` asks. */
  readonly strict: boolean;
  readonly signal?: AbortSignal;
}

/** What became of the pack. */
export interface Installed {
  /** Files that keep git from removing it before refs name what is in it. */
  readonly locks: readonly string[];
  /** Whether git has seen that nothing in it refers to what is not. */
  readonly selfContained: boolean;
}

/** git verifies every object while it indexes the pack; it is visible when it is whole. */
export async function installPack(
  { repo, strict, progress, signal }: Installation,
  pack: Content,
  promisor: boolean,
): Promise<Installed> {
  const args = ["index-pack", "--stdin", "--fix-thin", `--keep=git-odb fetch ${process.pid}`];
  if (promisor) args.push("--promisor");
  else args.push("--check-self-contained-and-connected");
  if (strict) args.push("--strict");
  if (progress) args.push("-v");
  const { stdout, status } = await repo.run(args, {
    input: pack,
    // 1: sound, but it names objects that are not in it.
    okStatus: [0, 1],
    env: { GIT_NO_LAZY_FETCH: "1" },
    ...(progress && { stderr: "inherit" as const }),
    ...(signal && { signal }),
  });
  const [, kept, name] = /^(keep|pack)\t([0-9a-f]+)\n/.exec(stdout.toString()) ?? [];
  if (name === undefined) throw new OdbError("bug", "git index-pack did not name the pack");
  const locks = kept === "keep" ? [join(repo.objectsDir, "pack", `pack-${name}.keep`)] : [];
  return { locks, selfContained: status === 0 && !promisor };
}
