/**
 * The promise tree: a tree of exactly the blobs that an ODB holds and that git may do without. In a promisor pack it makes
 * git take them for objects that can be fetched again (gitrepository-layout(5), partial-clone design notes).
 */

import { readFile } from "node:fs/promises";
import { OdbError } from "../errors.js";
import { contentOf, hashObject } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { isObjectId } from "../object/id.js";
import { writePack } from "../pack/write.js";
import type { Repository } from "../repo/git.js";
import { stagePack } from "../repo/pack-stage.js";
import { withPackWork } from "../repo/pack-work.js";
import { listPacks } from "../repo/packs.js";
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
 * Without new ones it mends the pack of the promise, if a gc has taken it apart.
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
    const trees = promiseTrees([...present.oids, ...wanted], repo.hash);
    const tree = (trees.at(-1) as PromiseTree).oid;
    await storePromise(repo, name, trees);
    if (tree === present.tree) return tree;
    try {
      await updateRefs(repo, [{ ref: promiseRef(name), oid: tree, old: present.tree ?? null }]);
    } catch (error) {
      if (!(error instanceof OdbError && error.code === "conflict") || attempt >= ATTEMPTS) throw error;
      continue;
    }
    if (present.tree !== undefined) await removePromise(repo, name, present.tree);
    return tree;
  }
}

/**
 * Puts the trees into the object store as one promisor pack. Its `.keep` stays: `git multi-pack-index repack`, which
 * `git maintenance` runs, makes ordinary packs of promisor packs, and the promise would be gone.
 */
async function storePromise(repo: Repository, name: string, trees: readonly PromiseTree[]): Promise<void> {
  const { oid } = trees.at(-1) as PromiseTree;
  if ((await promisePack(repo, name, oid)) !== undefined) return;
  async function* objects() {
    for (const { oid, bytes } of trees) {
      yield { info: { oid, size: bytes.length, type: "tree" as const }, content: contentOf(bytes) };
    }
  }
  await withPackWork(repo, async (work) => {
    const pack = await stagePack(work.directory, writePack(trees.length, objects(), repo.hash), repo.hash);
    await work.place(pack, { promisor: true, keep: keepText(name, oid) });
  });
}

/** The pack of a promise that another has taken the place of: all that it promises is promised by that one. */
async function removePromise(repo: Repository, name: string, tree: ObjectId): Promise<void> {
  const pack = await promisePack(repo, name, tree);
  if (pack !== undefined) await withPackWork(repo, (work) => work.remove([pack]));
}

/** The kept promisor pack of a promise. @returns undefined when there is none (any more) */
async function promisePack(repo: Repository, name: string, tree: ObjectId): Promise<string | undefined> {
  for (const pack of await listPacks(repo.objectsDir)) {
    if (!pack.kept || !pack.promisor) continue;
    const text = await readFile(`${pack.base}.keep`, "utf8").catch(() => "");
    if (text === keepText(name, tree)) return pack.name;
  }
  return undefined;
}

function keepText(name: string, tree: ObjectId): string {
  return `git-odb: promise tree ${tree} of ${name}\n`;
}

function treeOf(entries: readonly Buffer[], hash: HashAlgorithm): PromiseTree {
  const bytes = Buffer.concat(entries);
  return { oid: hashObject("tree", bytes, hash), bytes };
}

function entry(mode: string, name: string, oid: ObjectId): Buffer {
  return Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, "hex")]);
}
