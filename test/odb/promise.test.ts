/** The promise tree: what stock git makes of it, and two that promise at once. */

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type ObjectId, parseObjectId } from "../../src/object/id.js";
import { promiseBlobs, promiseRef, promiseTrees, readPromised } from "../../src/odb/promise.js";
import { openRepository } from "../../src/repo/git.js";
import { git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

function blobs(repo: string, count: number): ObjectId[] {
  return Array.from({ length: count }, (_, n) =>
    parseObjectId(git(["hash-object", "-w", "--stdin"], { cwd: repo, input: `blob ${n}\n` })),
  );
}

/** A repository that has a promisor remote, without which git promises nothing. */
function promisorRepo(...args: string[]): string {
  const repo = tempRepo(...args);
  git(["config", "remote.odb-big.url", `odb::${tempDir("store")}`], { cwd: repo });
  git(["config", "remote.odb-big.promisor", "true"], { cwd: repo });
  return repo;
}

it.each(["sha1", "sha256"] as const)("makes the trees that git mktree makes, %s", async (hash) => {
  const repo = tempRepo(`--object-format=${hash}`);
  const oids = blobs(repo, 40);
  const folders = new Map<string, string[]>();
  for (const oid of oids) {
    const folder = folders.get(oid.slice(0, 2)) ?? [];
    folders.set(oid.slice(0, 2), [...folder, `100644 blob ${oid}\t${oid.slice(2)}`]);
  }
  const mktree = (lines: string[]) =>
    git(["mktree", "--missing"], { cwd: repo, input: `${lines.join("\n")}\n` });
  const top = [...folders].map(([name, lines]) => `040000 tree ${mktree(lines)}\t${name}`);
  expect(promiseTrees(oids.toReversed(), hash).at(-1)?.oid).toBe(mktree(top));
});

it("lets git do without what is promised, and only with that", async () => {
  const dir = promisorRepo();
  const oids = blobs(dir, 3);
  const [first, second] = oids as [ObjectId, ObjectId];
  const tree = git(["mktree"], {
    cwd: dir,
    input: oids.map((oid, n) => `100644 blob ${oid}\t${n}\n`).join(""),
  });
  git(["update-ref", "HEAD", git(["commit-tree", "-m", "x", tree], { cwd: dir })], { cwd: dir });
  const repo = await openRepository(dir);
  await promiseBlobs(repo, "big", [first]);
  expect([...(await readPromised(repo, "big")).oids]).toEqual([first]);
  rmSync(join(dir, ".git/objects", first.slice(0, 2), first.slice(2)));
  expect(tryGit(["fsck", "--full"], { cwd: dir })).toMatchObject({ status: 0, stdout: "" });
  rmSync(join(dir, ".git/objects", second.slice(0, 2), second.slice(2)));
  expect(tryGit(["fsck", "--full"], { cwd: dir }).stdout).toContain(`missing blob ${second}`);
  expect(readdirSync(join(dir, ".git/objects")).filter((name) => name.startsWith("git-odb"))).toEqual([]);
});

it("adds to what others promise at the same time, and never takes away", async () => {
  const dir = promisorRepo();
  const oids = blobs(dir, 24);
  const repo = await openRepository(dir);
  await Promise.all([0, 8, 16].map((at) => promiseBlobs(repo, "big", oids.slice(at, at + 8))));
  const { tree, oids: promised } = await readPromised(repo, "big");
  expect([...promised].sort()).toEqual([...oids].sort());
  expect(tree).toBe(promiseTrees(oids, "sha1").at(-1)?.oid);
  expect(await promiseBlobs(repo, "big", oids.slice(3, 9))).toBe(tree);
  expect(git(["rev-parse", promiseRef("big")], { cwd: dir })).toBe(tree);
  git(["gc", "--quiet", "--prune=now"], { cwd: dir });
  const { status, stdout } = tryGit(["fsck", "--full"], { cwd: dir });
  expect([status, stdout.replaceAll(/^dangling tree [0-9a-f]+\n/gm, "")]).toEqual([0, ""]);
});
