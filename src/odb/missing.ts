/** Which objects git would have to ask a promisor for, found without asking one. */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isObjectId, type ObjectId } from "../object/id.js";
import { infosOf } from "../repo/cat-file.js";
import { readConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";

/** What to look at. */
export interface MissingOptions {
  /** Any revisions of git-rev-list(1): `main`, `v1..v2`, `^old`. */
  readonly revisions: readonly string[];
  /** Pathspecs, relative to `cwd`; none: everything. */
  readonly paths?: readonly string[];
  /** Only the trees of the revisions, not their history. */
  readonly tip?: boolean;
  readonly cwd?: string;
  readonly signal?: AbortSignal;
}

/** Nothing that only looks may fetch. */
const localOnly = { GIT_NO_LAZY_FETCH: "1" };

/**
 * The objects that the history of these revisions names and the repository does not have.
 *
 * @throws OdbError config, for a revision that there is not
 */
export async function missingInHistory(repo: Repository, options: MissingOptions): Promise<ObjectId[]> {
  const { revisions, paths = [], tip, cwd, signal } = options;
  const args = [
    "rev-list",
    "--objects",
    "--missing=print",
    ...(tip ? ["--no-walk"] : []),
    ...revisions,
    "--",
  ];
  const missing = new Set<ObjectId>();
  const lines = repo.runLines([...args, ...paths], {
    env: localOnly,
    ...(cwd !== undefined && { cwd }),
    ...(signal && { signal }),
  });
  for await (const line of lines) {
    const oid = line.startsWith("?") ? (line.slice(1).split(" ", 1)[0] ?? "") : "";
    if (isObjectId(oid)) missing.add(oid);
  }
  return [...missing];
}

/**
 * The blobs that the work tree is made of and the repository does not have: those of the index and of HEAD, without
 * what a sparse checkout leaves out.
 */
export async function missingInCheckout(repo: Repository): Promise<ObjectId[]> {
  const oids = new Set<ObjectId>();
  for await (const oid of indexBlobs(repo)) oids.add(oid);
  for await (const oid of headBlobs(repo)) oids.add(oid);
  const asked = [...oids];
  const missing: ObjectId[] = [];
  let at = 0;
  for await (const info of infosOf(repo, asked)) {
    const oid = asked[at++];
    if (info === undefined && oid !== undefined) missing.push(oid);
  }
  return missing;
}

/** As git has it checked out: a skip-worktree entry (`S`) is not. */
async function* indexBlobs(repo: Repository, index?: string): AsyncGenerator<ObjectId> {
  const env = { ...localOnly, ...(index !== undefined && { GIT_INDEX_FILE: index }) };
  const options = { separator: "\0", env } as const;
  // `<tag> <mode> <oid> <stage>TAB<path>`; a mode of 100… or 120000 is a blob's.
  for await (const record of repo.runRecords(["ls-files", "-t", "-s", "-z"], options)) {
    const [tag, mode = "", oid = ""] = record.toString("latin1", 0, record.indexOf(9)).split(" ");
    if (tag !== "S" && mode.startsWith("1") && !mode.startsWith("16") && isObjectId(oid)) yield oid;
  }
}

/** What a checkout of HEAD would write, before there is an index (`clone --no-checkout`), or beside it. */
async function* headBlobs(repo: Repository): AsyncGenerator<ObjectId> {
  const head = await repo.text(["rev-parse", "--quiet", "--verify", "HEAD^{tree}"], {
    okStatus: [0, 1, 128],
  });
  if (!isObjectId(head)) return;
  // An index of its own lets git apply the patterns of a sparse checkout.
  const index = join(repo.gitDir, `odb-index-${randomBytes(6).toString("hex")}`);
  try {
    if (await isSparse(repo)) {
      await repo.run(["read-tree", "-m", head], { env: { ...localOnly, GIT_INDEX_FILE: index } });
      yield* indexBlobs(repo, index);
    } else yield* treeBlobs(repo, head);
  } finally {
    await rm(index, { force: true });
  }
}

async function* treeBlobs(repo: Repository, tree: ObjectId): AsyncGenerator<ObjectId> {
  const options = { separator: "\0", env: localOnly } as const;
  for await (const line of repo.runLines(["ls-tree", "-r", "-z", "--full-tree", tree], options)) {
    const [mode = "", type, oid = ""] = line.split(/[ \t]/, 3);
    if (type === "blob" && mode !== "" && isObjectId(oid)) yield oid;
  }
}

async function isSparse(repo: Repository): Promise<boolean> {
  const set = (await readConfig(repo)).findLast(({ key }) => key === "core.sparsecheckout")?.value;
  return set === "true" && existsSync(join(repo.gitDir, "info/sparse-checkout"));
}
