/** `git rev-list --objects` in the repository alone: what is here, and what is missing, without asking any remote. */

import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";

/** What a walk found. */
export interface Walked {
  readonly objects: readonly Listed[];
  /** Named by an object that is here, and not here. */
  readonly missing: readonly ObjectId[];
}

/** An object that is here. */
export interface Listed {
  readonly oid: ObjectId;
  /** Bytes as Latin-1, or undefined for a commit, a tag and a root tree. */
  readonly path: string | undefined;
  /** As git lists it, for `git pack-objects`: `<oid> <path>`. */
  readonly line: string;
}

/**
 * Walks from `tips` down to what `not` reaches.
 *
 * @param options more of git-rev-list(1)
 * @throws OdbError when a commit is missing, or a tip
 */
export async function walkObjects(
  repo: Repository,
  tips: Iterable<ObjectId>,
  not: readonly ObjectId[] = [],
  options: readonly string[] = [],
): Promise<Walked> {
  const objects: Listed[] = [];
  const missing: ObjectId[] = [];
  const input = [...tips, ...not.map((oid) => `^${oid}`)].map((line) => `${line}\n`).join("");
  const args = ["rev-list", "--objects", "--missing=print", "--stdin", ...options];
  for await (const record of repo.runRecords(args, { input, env: { GIT_NO_LAZY_FETCH: "1" } })) {
    const line = record.toString("latin1");
    const cut = line.indexOf(" ");
    const oid = line.startsWith("?") ? line.slice(1) : cut < 0 ? line : line.slice(0, cut);
    if (!isObjectId(oid))
      throw new OdbError("bug", `git rev-list: a line we do not know: ${line.slice(0, 120)}`);
    const path = cut < 0 || cut === line.length - 1 ? undefined : line.slice(cut + 1);
    if (line.startsWith("?")) missing.push(oid);
    else objects.push({ oid, path, line });
  }
  return { objects, missing };
}
