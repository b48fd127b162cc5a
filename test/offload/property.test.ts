/** Whatever a repository looks like: offload drops what its remote has, all of it, and nothing else. */

import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { devNull } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import { gitOdb } from "../support/cli.js";
import { git, gitBytes } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import { commit, emptyFixture, expectOk, type Fixture, fsck, useCommands, writeBig } from "./fixture.js";

/** Another seed, more runs: GIT_ODB_TEST_SEED=…, GIT_ODB_TEST_RUNS=100. */
const seed = Number(process.env.GIT_ODB_TEST_SEED ?? 20_240_517);
const numRuns = Number(process.env.GIT_ODB_TEST_RUNS ?? 5);

beforeAll(() => {
  useCommands();
  // git cannot push what a graft has cut off: grafts are for the command under test alone.
  process.env.GIT_GRAFT_FILE = devNull;
});

function offload(repo: string): void {
  expectOk(gitOdb(["offload", "-q"], { cwd: repo, env: { GIT_GRAFT_FILE: undefined } }));
}

/** A repository in the making; `next` gives names that were not used yet. */
interface Scene extends Fixture {
  readonly root: string;
  readonly next: (prefix: string) => string;
  readonly run: (...args: string[]) => string;
}

/** Ways to come by objects. Each leaves the work tree clean, or staged but without conflicts. */
const steps = {
  commit: (scene) => add(scene, "c"),
  "commit in a subfolder": (scene) => add(scene, "deep/c"),
  push: ({ run }) => run("push", "-q", "--force", "origin", "HEAD:refs/heads/main"),
  "push a branch": ({ run, next }) => run("push", "-q", "origin", `HEAD:refs/heads/${next("pushed")}`),
  branch: ({ run, next }) => run("branch", next("branch")),
  "go back": (scene) => goBack(scene, "--hard"),
  "go back, and keep the index": (scene) => goBack(scene, "--soft"),
  "switch to what the remote has": ({ run }) => run("checkout", "-q", "--force", "--detach", "origin/main"),
  amend(scene) {
    writeBig(scene.repo, scene.next("amend"), 300);
    scene.run("add", "-A");
    scene.run("commit", "-q", ...(isMerging(scene.repo) ? [] : ["--amend"]), "-m", "amended");
  },
  "tag a commit that is gone": (scene) => {
    add(scene, "tagged");
    scene.run("tag", "-a", "-m", "x", scene.next("tag"));
    scene.run("reset", "-q", "--hard", "HEAD~1");
  },
  "tag a blob": ({ run, next, repo }) => {
    const path = next("blob");
    writeBig(repo, `.git/${path}`, 300);
    run("tag", next("tag"), run("hash-object", "-w", `.git/${path}`));
  },
  stage: (scene) => {
    writeBig(scene.repo, scene.next("staged"), 300);
    scene.run("add", "-A");
  },
  stash: (scene) => {
    writeBig(scene.repo, scene.next("stashed"), 300);
    scene.run("add", "-A");
    scene.run("stash", "-q");
  },
  "another work tree": ({ run, next, root }) => {
    const tree = join(root, next("tree"));
    run("worktree", "add", "-q", "--detach", tree, "HEAD");
    writeBig(tree, "in-tree.bin", 300);
    commit(tree, "in another work tree");
    writeBig(tree, "in-index.bin", 300);
    git(["add", "-A"], { cwd: tree });
  },
  note: ({ run, next }) => run("notes", "add", "-f", "-m", next("note"), "HEAD"),
  // A published commit seems to be another one here, or to have another parent.
  replace: (scene) => {
    const oid = aside(scene);
    scene.run("replace", "-f", "origin/main", oid);
  },
  graft: (scene) => {
    const published = scene.run("rev-parse", "origin/main");
    appendFileSync(join(scene.repo, ".git/info/grafts"), `${published} ${aside(scene)}\n`);
  },
  // What git keeps while it is in the middle of something.
  "a merge under way": (scene) => {
    const oid = aside(scene);
    writeFileSync(join(scene.repo, ".git/MERGE_HEAD"), `${oid}\n`);
  },
  "a rebase under way": (scene) => {
    mkdirSync(join(scene.repo, ".git/rebase-merge"), { recursive: true });
    writeFileSync(join(scene.repo, ".git/rebase-merge/orig-head"), `${aside(scene)}\n`);
    scene.run("update-ref", `refs/rewritten/${scene.next("onto")}`, aside(scene));
    writeFileSync(
      join(scene.repo, ".git/AUTO_MERGE"),
      `${scene.run("rev-parse", `${aside(scene)}^{tree}`)}\n`,
    );
  },
  "a bisection": (scene) => scene.run("update-ref", `refs/bisect/${scene.next("bad")}`, aside(scene)),
  "a fetch without a ref": (scene) => {
    const other = join(scene.root, scene.next("other"));
    git(["clone", "-q", "--no-tags", scene.origin, other]);
    writeBig(other, "fetched.bin", 300);
    commit(other, "not on the remote");
    scene.run("fetch", "-q", other, "HEAD");
  },
  repack: ({ run }) => run("repack", "-q", "-d"),
  "repack all": ({ run }) => run("repack", "-q", "-a", "-d"),
  offload: ({ repo }) => offload(repo),
} satisfies Record<string, (scene: Scene) => unknown>;

it("drops what the remote has, and leaves what only this repository has", () => {
  const history = fc.array(fc.constantFrom(...(Object.keys(steps) as (keyof typeof steps)[])), {
    minLength: 5,
    maxLength: 14,
  });
  fc.assert(
    fc.property(history, fc.constantFrom("sha1", "sha256"), (names, hash) => {
      const scene = startScene(hash);
      for (const name of names) {
        // The store has everything: that alone is never a reason.
        fillStore(scene);
        steps[name](scene);
      }
      fillStore(scene);
      check(scene);
    }),
    { numRuns, seed, endOnFailure: true },
  );
}, 300_000);

function check({ repo, origin }: Scene): void {
  // All that git itself protects, but for the promise.
  const everywhere = ["--exclude=refs/odbs-promise/*", "--all", "--reflog", "--indexed-objects"];
  const reachable = objectsOf(repo, everywhere);
  const before = here(repo);
  // The next promise takes the place of this one.
  for (const oid of promiseTrees(repo)) before.delete(oid);
  const theirs = new Set(
    git(["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"], { cwd: origin }).split("\n"),
  );
  offload(repo);
  const after = new Set(here(repo).keys());
  const dropped = [...before.keys()].filter((oid) => !after.has(oid));
  expect(dropped.filter((oid) => !theirs.has(oid) || before.get(oid) !== "blob")).toEqual([]);
  // And all of it: what is left of the remote's blobs is what no remote-tracking ref reaches any more.
  const tracked = new Set(objectsOf(repo, ["--remotes"]));
  expect([...after].filter((oid) => before.get(oid) === "blob" && tracked.has(oid))).toEqual([]);
  expect(fsck(repo)).toBe("");
  git(["gc", "-q", "--prune=now"], { cwd: repo });
  const left = here(repo);
  expect(reachable.filter((oid) => !theirs.has(oid) && !left.has(oid))).toEqual([]);
  expect(fsck(repo)).toBe("");
  const readable = git(["cat-file", "--batch-check"], { cwd: repo, input: `${reachable.join("\n")}\n` });
  expect(readable).not.toMatch(/missing/);
}

function startScene(hash: string): Scene {
  const fixture = emptyFixture({ hash });
  let count = 0;
  const run = (...args: string[]) => git(args, { cwd: fixture.repo });
  run("config", "gc.auto", "0");
  run("config", "advice.graftFileDeprecated", "false");
  run("push", "-q", "origin", "main");
  return { ...fixture, root: tempDir("scene"), run, next: (prefix) => `${prefix}${++count}.bin` };
}

function add(scene: Scene, prefix: string): void {
  const path = scene.next(prefix);
  mkdirSync(dirname(join(scene.repo, path)), { recursive: true });
  writeBig(scene.repo, path, 300);
  commit(scene.repo, path);
}

function goBack({ repo, run }: Scene, how: string): void {
  const first = Number(run("rev-list", "--count", "HEAD")) === 1;
  if (!first && (how === "--hard" || !isMerging(repo))) run("reset", "-q", how, "HEAD~1");
}

function isMerging(repo: string): boolean {
  return existsSync(join(repo, ".git/MERGE_HEAD"));
}

/** A commit that no ref has, with a blob of its own. */
function aside({ repo, run, next }: Scene): string {
  const path = next("aside");
  writeBig(repo, `.git/${path}`, 300);
  const blob = run("hash-object", "-w", `.git/${path}`);
  const tree = git(["mktree"], { cwd: repo, input: `100644 blob ${blob}\t${path}\n` });
  return run("commit-tree", "-m", path, tree);
}

/** Puts every blob into the store, by hand. */
function fillStore({ repo, store }: Scene): void {
  for (const [oid, type] of here(repo)) {
    if (type !== "blob") continue;
    const path = join(store, "objects", oid.slice(0, 2), oid);
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path))
      writeFileSync(path, gitBytes(["cat-file", "blob", oid], { cwd: repo, env: LOCAL }));
  }
}

/** The objects that lie here, with their types. */
function here(repo: string): Map<string, string> {
  const format = "--batch-check=%(objectname) %(objecttype)";
  const text = git(["cat-file", "--batch-all-objects", format], { cwd: repo, env: LOCAL });
  return new Map(text.split("\n").map((line) => line.split(" ") as [string, string]));
}

function promiseTrees(repo: string): string[] {
  const ref = "refs/odbs-promise/big";
  if (git(["for-each-ref", ref], { cwd: repo }) === "") return [];
  const below = git(["ls-tree", "-d", "-r", "--object-only", ref], { cwd: repo }).split("\n");
  return [git(["rev-parse", ref], { cwd: repo }), ...below];
}

/** Asks nobody, and sees things as they are. */
const LOCAL = { GIT_NO_LAZY_FETCH: "1", GIT_NO_REPLACE_OBJECTS: "1" };

function objectsOf(repo: string, revs: readonly string[]): string[] {
  const args = ["rev-list", "--objects", "--no-object-names", "--missing=allow-any", ...revs];
  return git(args, { cwd: repo, env: LOCAL }).split("\n").filter(Boolean);
}
