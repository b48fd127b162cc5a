/**
 * The promise tree: a tree of exactly the blobs that an ODB holds and that git may do without. In a promisor pack it makes
 * git take them for objects that can be fetched again (gitrepository-layout(5), partial-clone design notes).
 */

import { OdbError } from "../errors.js";
import { contentOf, hashObject } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { isObjectId } from "../object/id.js";
import { writePack } from "../pack/write.js";
import type { Repository } from "../repo/git.js";
import { stagePack } from "../repo/pack-stage.js";
import { withPackWork } from "../repo/pack-work.js";
import { listRefs, updateRefs } from "../repo/update-ref.js";
import { parseOdbName } from "./name.js";

/** Above all of `refs/odbs-promise/<name>`. */
export const PROMISE_PREFIX = "refs/odbs-promise/";

/** `refs/odbs-promise/<name>`: points to the tree. */
export function promiseRef(name: string): string {
  return PROMISE_PREFIX + parseOdbName(name);
}

/** A tree of the promise: its bytes and its id. */
export interface PromiseTree {
  readonly oid: ObjectId;
  readonly bytes: Buffer;
}

/**
 * The trees that promise these blobs: the same blobs give the same trees, in every clone. The top one, which is the last,
 * has a folder for the first two hex digits, in which each blob's name is the rest of its id.
 */
export function promiseTrees(oids: Iterable<ObjectId>, hash: HashAlgorithm): PromiseTree[] {
  const folders = new Map<string, ObjectId[]>();
  for (const oid of [...new Set(oids)].sort()) {
    const folder = folders.get(oid.slice(0, 2));
    if (folder === undefined) folders.set(oid.slice(0, 2), [oid]);
    else folder.push(oid);
  }
  const trees: PromiseTree[] = [];
  const top: Buffer[] = [];
  for (const [name, members] of folders) {
    const tree = treeOf(
      members.map((oid) => entry("100644", oid.slice(2), oid)),
      hash,
    );
    trees.push(tree);
    top.push(entry("40000", name, tree.oid));
  }
  return [...trees, treeOf(top, hash)];
}

/** What is promised, and by which tree. */
export interface Promised {
  /** Absent: nothing was promised yet. */
  readonly tree?: ObjectId;
  readonly oids: ReadonlySet<ObjectId>;
}

/** Reads the promise tree of an ODB. @throws OdbError integrity, when what the ref points to is no such tree */
export async function readPromised(repo: Repository, name: string): Promise<Promised> {
  const ref = promiseRef(name);
  const tree = (await listRefs(repo, ref)).find((found) => found.ref === ref)?.oid;
  const oids = new Set<ObjectId>();
  if (tree === undefined) return { oids };
  const args = ["ls-tree", "-r", "-z", "--full-tree", tree];
  for await (const line of repo.runLines(args, { separator: "\0", env: { GIT_NO_LAZY_FETCH: "1" } })) {
    const oid = /^100644 blob ([0-9a-f]+)\t/.exec(line)?.[1] ?? "";
    if (!isObjectId(oid))
      throw new OdbError("integrity", `${ref} has an entry that is no promise: ${line.slice(0, 80)}`);
    oids.add(oid);
  }
  return { tree, oids };
}

/** Tries when others promise at the same time. */
const ATTEMPTS = 10;

/**
 * Promises blobs, on top of those that are promised: the trees as a promisor pack, durably, then the ref by
 * compare-and-swap. Only what is certainly in the store may be promised: git no longer protects a promised blob from gc.
 *
 * @returns the tree
 * @throws OdbError conflict, when others write the ref all the time; full, denied
 */
export async function promiseBlobs(
  repo: Repository,
  name: string,
  oids: Iterable<ObjectId>,
): Promise<ObjectId> {
  const wanted = [...oids];
  for (let attempt = 1; ; attempt++) {
    const present = await readPromised(repo, name);
    if (present.tree !== undefined && wanted.every((oid) => present.oids.has(oid))) return present.tree;
    const trees = promiseTrees([...present.oids, ...wanted], repo.hash);
    const tree = (trees.at(-1) as PromiseTree).oid;
    await storePromise(repo, trees);
    try {
      await updateRefs(repo, [{ ref: promiseRef(name), oid: tree, old: present.tree ?? null }]);
      return tree;
    } catch (error) {
      if (!(error instanceof OdbError && error.code === "conflict") || attempt >= ATTEMPTS) throw error;
    }
  }
}

/** Puts the trees into the object store as one promisor pack. */
async function storePromise(repo: Repository, trees: readonly PromiseTree[]): Promise<void> {
  async function* objects() {
    for (const { oid, bytes } of trees) {
      yield { info: { oid, size: bytes.length, type: "tree" as const }, content: contentOf(bytes) };
    }
  }
  await withPackWork(repo, async (work) => {
    const name = await stagePack(work.directory, writePack(trees.length, objects(), repo.hash), repo.hash);
    await work.place(name, { promisor: true });
  });
}

function treeOf(entries: readonly Buffer[], hash: HashAlgorithm): PromiseTree {
  const bytes = Buffer.concat(entries);
  return { oid: hashObject("tree", bytes, hash), bytes };
}

function entry(mode: string, name: string, oid: ObjectId): Buffer {
  return Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, "hex")]);
}
