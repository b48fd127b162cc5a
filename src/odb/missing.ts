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
    env: { GIT_NO_LAZY_FETCH: "1" },
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
  const skipped = new Set<string>();
  let entries = 0;
  for await (const { path, oid, skip } of indexEntries(repo)) {
    entries += 1;
    if (skip) skipped.add(path);
    else oids.add(oid);
  }
  // Without an index (`clone --no-checkout`) it is not decided yet what a sparse checkout leaves out.
  const head = entries === 0 && (await isSparse(repo)) ? sparseHead(repo) : headEntries(repo);
  for await (const { path, oid } of head) if (!skipped.has(path)) oids.add(oid);
  const asked = [...oids];
  const missing: ObjectId[] = [];
  let at = 0;
  for await (const info of infosOf(repo, asked)) {
    const oid = asked[at++];
    if (info === undefined && oid !== undefined) missing.push(oid);
  }
  return missing;
}

/** A file or symbolic link of the index or of a tree. */
interface FileEntry {
  /** As git prints it, its bytes as latin1: to compare. */
  readonly path: string;
  readonly oid: ObjectId;
  /** The index says that it is not checked out (skip-worktree). */
  readonly skip: boolean;
}

async function* indexEntries(
  repo: Repository,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): AsyncGenerator<FileEntry> {
  const options = { separator: "\0", env: { GIT_NO_LAZY_FETCH: "1", ...env } } as const;
  // `<tag> <mode> <oid> <stage>TAB<path>`
  for await (const record of repo.runRecords(["ls-files", "-t", "-s", "-z", ...args], options)) {
    const tab = record.indexOf(9);
    const [tag, mode = "", oid = ""] = record.toString("latin1", 0, tab).split(" ");
    if (isFile(mode) && isObjectId(oid))
      yield { path: record.toString("latin1", tab + 1), oid, skip: tag === "S" };
  }
}

async function* headEntries(repo: Repository): AsyncGenerator<FileEntry> {
  const head = await headTree(repo);
  if (head === undefined) return;
  const options = { separator: "\0", env: { GIT_NO_LAZY_FETCH: "1" } } as const;
  // `<mode> <type> <oid>TAB<path>`
  for await (const record of repo.runRecords(["ls-tree", "-r", "-z", "--full-tree", head], options)) {
    const tab = record.indexOf(9);
    const [mode = "", , oid = ""] = record.toString("latin1", 0, tab).split(" ");
    if (isFile(mode) && isObjectId(oid)) yield { path: record.toString("latin1", tab + 1), oid, skip: false };
  }
}

/**
 * The files of HEAD that match the patterns of the sparse checkout, by an index of our own: git applies such patterns only
 * while it writes files. In nested folders of cone mode this is too many rather than too few.
 */
async function* sparseHead(repo: Repository): AsyncGenerator<FileEntry> {
  const head = await headTree(repo);
  if (head === undefined) return;
  const index = join(repo.gitDir, `odb-index-${randomBytes(6).toString("hex")}`);
  const env = { GIT_NO_LAZY_FETCH: "1", GIT_INDEX_FILE: index };
  try {
    await repo.run(["read-tree", head], { env });
    yield* indexEntries(repo, ["-c", "-i", `--exclude-from=${sparsePatterns(repo)}`], env);
  } finally {
    await rm(index, { force: true });
  }
}

async function headTree(repo: Repository): Promise<ObjectId | undefined> {
  const found = await repo.text(["rev-parse", "--quiet", "--verify", "HEAD^{tree}"], {
    okStatus: [0, 1, 128],
  });
  return isObjectId(found) ? found : undefined;
}

/** Neither a folder nor a submodule (`160000`). */
function isFile(mode: string): boolean {
  return mode.startsWith("100") || mode === "120000";
}

async function isSparse(repo: Repository): Promise<boolean> {
  const set = (await readConfig(repo)).findLast(({ key }) => key === "core.sparsecheckout")?.value;
  return set === "true" && existsSync(sparsePatterns(repo));
}

function sparsePatterns(repo: Repository): string {
  return join(repo.gitDir, "info/sparse-checkout");
}
