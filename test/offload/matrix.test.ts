/** What people and git do after an offload: nothing is lost, nothing comes back but what is needed. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { gitOdb } from "../support/cli.js";
import { git, gitBytes } from "../support/git.js";
import {
  bigBlobs,
  commit,
  expectOk,
  type Fixture,
  fsck,
  missing,
  pushedFixture,
  useCommands,
  writeBig,
} from "./fixture.js";

let fixture: Fixture;
let repo = "";
const run = (...args: string[]) => git(args, { cwd: repo });

beforeAll(useCommands);
beforeEach(() => {
  fixture = pushedFixture({ size: 4000 });
  repo = fixture.repo;
});

it("no kind of gc brings anything back, or takes a local object away", () => {
  writeFileSync(join(repo, "mine.txt"), "mine\n");
  writeBig(repo, "mine.bin", 4000);
  commit(repo, "only here");
  const mine = [run("rev-parse", "HEAD:mine.txt"), run("rev-parse", "HEAD:mine.bin")];
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  const gone = missing(repo);
  expect(gone).toEqual(bigBlobs(repo, "HEAD~1"));
  for (const command of [
    "gc",
    "repack -adf -q",
    "gc --prune=now --aggressive -q",
    "prune --expire=now",
    "repack -Ad -q",
    "multi-pack-index write",
    "multi-pack-index repack",
    "multi-pack-index expire",
    "maintenance run --task=loose-objects --task=incremental-repack --task=commit-graph --task=gc",
    "pack-refs --all",
  ]) {
    run(...command.split(" "));
    expect([command, missing(repo), fsck(repo)]).toEqual([command, gone, ""]);
    for (const oid of mine) run("cat-file", "-e", oid);
  }
  // And offload goes on working on what these have left.
  expectOk(gitOdb(["push", "-q"], { cwd: repo }));
  run("push", "-q", "origin", "main");
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect([missing(repo), fsck(repo)]).toEqual([bigBlobs(repo), ""]);
});

it("work goes on: switch, commit, rebase, stash, log, archive", () => {
  const versions = ["HEAD~2", "HEAD~1", "HEAD"].map((rev) => ({
    rev: run("rev-parse", rev),
    bytes: gitBytes(["cat-file", "blob", `${rev}:a.bin`], { cwd: repo }),
  }));
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  for (const { rev, bytes } of versions) {
    run("checkout", "-q", rev);
    expect(readFileSync(join(repo, "a.bin")).equals(bytes)).toBe(true);
  }
  run("checkout", "-q", "main");
  expect(run("status", "--porcelain")).toBe("");
  run("checkout", "-q", "-b", "topic", "HEAD~1");
  writeBig(repo, "topic.bin", 4000);
  commit(repo, "topic");
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  run("rebase", "-q", "main");
  writeBig(repo, "a.bin", 4000);
  const changed = readFileSync(join(repo, "a.bin"));
  run("stash", "-q");
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  run("stash", "pop", "-q");
  expect(readFileSync(join(repo, "a.bin")).equals(changed)).toBe(true);
  run("log", "-p", "--stat", "--all");
  expect(gitBytes(["archive", "HEAD"], { cwd: repo }).length).toBeGreaterThan(10_000);
  expect(fsck(repo)).toBe("");
  expect(run("rev-list", "--count", "HEAD")).toBe("5");
});

it("leaves alone what only this repository reaches, by whatever way", () => {
  const only: string[] = [];
  const add = (name: string) => {
    writeBig(repo, name, 4000);
    run("add", name);
    only.push(run("rev-parse", `:${name}`));
    return only.at(-1) ?? "";
  };
  // A commit that only the reflog has, a stash, another work tree's index and its detached HEAD, a branch, the index.
  add("reflog.bin");
  run("commit", "-q", "-m", "reflog");
  run("reset", "-q", "--hard", "HEAD~1");
  add("stash.bin");
  run("stash", "-q");
  const tree = join(fixture.store, "../tree");
  run("worktree", "add", "-q", "--detach", tree);
  writeBig(tree, "tree.bin", 4000);
  commit(tree, "in another work tree");
  only.push(git(["rev-parse", "HEAD:tree.bin"], { cwd: tree }));
  writeBig(tree, "index.bin", 4000);
  git(["add", "index.bin"], { cwd: tree });
  only.push(git(["rev-parse", ":index.bin"], { cwd: tree }));
  add("branch.bin");
  run("commit", "-q", "-m", "branch");
  add("index.bin");
  // The store has them all: that alone is no reason.
  expectOk(gitOdb(["put", "-q", "big", ...only], { cwd: repo }));
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect(missing(repo)).toEqual(bigBlobs(repo, "origin/main"));
  const env = { GIT_NO_LAZY_FETCH: "1" };
  for (const oid of only) git(["cat-file", "-e", oid], { cwd: repo, env });
  expect(fsck(repo)).toBe("");
});

it("drops only what the options ask for", () => {
  const day = 86_400;
  const old = missing(repo);
  expect(old).toEqual([]);
  const at = (days: number) => {
    const date = `${Math.floor(Date.now() / 1000) - days * day} +0000`;
    return { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  };
  const add = (name: string, size: number, days: number) => {
    writeBig(repo, name, size);
    run("add", name);
    git(["commit", "-q", "-m", name], { cwd: repo, env: at(days) });
    return run("rev-parse", `HEAD:${name}`);
  };
  run("checkout", "-q", "--orphan", "dated");
  run("rm", "-q", "-r", "--cached", ".");
  run("add", ".gitattributes");
  const first = add("old.bin", 9000, 400);
  run("rm", "-q", "old.bin");
  git(["commit", "-q", "-m", "gone"], { cwd: repo, env: at(300) });
  const kept = add("kept.bin", 9000, 200);
  const small = add("small.bin", 100, 1);
  expectOk(gitOdb(["push", "-q"], { cwd: repo }));
  run("push", "-q", "origin", "dated");
  const dry = (...args: string[]) =>
    expectOk(gitOdb(["offload", "-n", ...args], { cwd: repo }))
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(" ")[0])
      .sort();
  expect(dry("dated", "--above", "8k")).toEqual([first, kept].sort());
  expect(dry("dated", "--older-than", "100.days")).toEqual([first]);
  expect(dry("main..dated", "--older-than", "2.years")).toEqual([]);
  expect(dry("--above", "1m")).toEqual([]);
  expect(dry("dated")).toEqual([first, kept, small].sort());
  expect(dry("--odb", "big")).toEqual([...bigBlobs(repo, "main"), first, kept, small].sort());
  const wrong: [string[], RegExp][] = [
    [["--older-than", "gibberish"], /"gibberish" is no date in the past/],
    [["--above", "lots"], /--above "lots" is no size/],
    [["no-such-branch"], /"no-such-branch" is no revision/],
    [["--", "--all"], /"--all" is no revision/],
    [["--odb", "other"], /ODB "other" is not configured/],
  ];
  for (const [args, message] of wrong) {
    const { status, stderr } = gitOdb(["offload", ...args], { cwd: repo });
    expect([args, status === 128 || status === 129]).toEqual([args, true]);
    expect(stderr).toMatch(message);
  }
  expect(missing(repo, "--all")).toEqual([]);
});
