/** Offload when something is wrong: nothing is dropped, and one line says why. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { cliEnv, commandFolder, gitOdb, meanwhile, startOdb } from "../support/cli.js";
import { git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";
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

let source: Fixture;

beforeAll(() => {
  useCommands();
  source = pushedFixture({ size: 4000 });
  git(["gc", "-q"], { cwd: source.repo });
});

/** A copy with a store of its own. */
function fixture(): Fixture {
  const dir = tempDir("copy");
  const [repo, store] = [join(dir, "repo"), join(dir, "store")];
  cpSync(source.repo, repo, { recursive: true });
  cpSync(source.store, store, { recursive: true });
  git(["config", "--replace-all", "odb.big.url", `file://${store}`], { cwd: repo });
  for (const oid of readdirSync(join(repo, ".git/odb/big")).filter((file) => file.startsWith("confirmed")))
    rmSync(join(repo, ".git/odb/big", oid));
  return { repo, store, origin: source.origin };
}

function keyOf(store: string, oid: string): string {
  return join(store, "objects", oid.slice(0, 2), oid);
}

it.each([
  ["gone", (store: string) => rmSync(store, { recursive: true }), /no such directory/],
  [
    "lying",
    (store: string, oid: string) => writeFileSync(keyOf(store, oid), "x".repeat(4000)),
    /object [0-9a-f]{40}: the bytes hash to/,
  ],
  ["cut short", (store: string, oid: string) => truncateSync(keyOf(store, oid), 100), /object [0-9a-f]{40}/],
])("a store that is %s: nothing is dropped", (_, spoil, message) => {
  const { repo, store } = fixture();
  spoil(store, bigBlobs(repo)[0] ?? "");
  const { status, stderr } = gitOdb(["offload"], { cwd: repo });
  expect([status, stderr]).toEqual([128, expect.stringMatching(/^(?:warning: [^\n]*\n)?fatal: [^\n]*\n$/)]);
  expect(stderr).toMatch(message);
  expect([missing(repo), fsck(repo)]).toEqual([[], ""]);
});

it("a blob that the store does not have stays, the others go", () => {
  const { repo, store } = fixture();
  const [lost = "", ...others] = bigBlobs(repo);
  rmSync(keyOf(store, lost));
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect([missing(repo), fsck(repo)]).toEqual([others, ""]);
});

it("does not start while git gc runs, and goes on after one that was killed", async () => {
  const { repo } = fixture();
  const sleeper = spawn("sleep", ["60"]);
  await once(sleeper, "spawn");
  const lock = join(repo, ".git/gc.pid");
  writeFileSync(lock, `${sleeper.pid} ${hostname()}`);
  const { status, stderr } = gitOdb(["offload"], { cwd: repo });
  expect([status, stderr]).toEqual([
    128,
    expect.stringMatching(/^fatal: git gc or another git odb is at work .*\n$/),
  ]);
  expect(gitOdb(["gc"], { cwd: repo }).status).toBe(128);
  expect(tryGit(["gc"], { cwd: repo }).stderr).toContain("gc is already running");
  sleeper.kill("SIGKILL");
  await once(sleeper, "exit");
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect([missing(repo), fsck(repo), existsSync(lock)]).toEqual([bigBlobs(repo), "", false]);
});

it("takes the lock of a gc that ends while it is looked at", () => {
  const { repo } = fixture();
  writeFileSync(join(repo, ".git/gc.pid"), `${process.pid} ${hostname()}`);
  git(["config", "alias.ended", "!rm .git/gc.pid"], { cwd: repo });
  // The first look is whether it is there.
  const ended = meanwhile(repo, { call: "stat", path: "/gc\\.pid$", skip: 1, git: "ended" });
  expect(gitOdb(["offload", "-q"], { cwd: repo, env: ended })).toMatchObject({ status: 0, stderr: "" });
  expect([missing(repo), fsck(repo)]).toEqual([bigBlobs(repo), ""]);
});

it("two at once, and git gc at the same time: one does it or both, and nothing is lost", async () => {
  const { repo } = fixture();
  const run = async (command: string, args: string[]) => {
    const child = spawn(command, args, { cwd: repo, env: cliEnv(), stdio: "ignore" });
    return (await once(child, "exit"))[0];
  };
  const odb = join(commandFolder(), "git-odb");
  const codes = await Promise.all([
    run(odb, ["offload", "-q"]),
    run(odb, ["offload", "-q"]),
    run("git", ["gc", "-q", "--prune=now"]),
    run("git", ["repack", "-a", "-d", "-q"]),
  ]);
  for (const code of codes.slice(0, 2)) expect([0, 128]).toContain(code);
  expect(fsck(repo)).toBe("");
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect([missing(repo), fsck(repo)]).toEqual([bigBlobs(repo), ""]);
});

it.each(["offload", "gc"])("%s looks again for packs that git repack has replaced", (verb) => {
  const { repo } = fixture();
  if (verb === "gc") {
    expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
    for (const oid of bigBlobs(repo)) git(["cat-file", "-e", oid], { cwd: repo });
  }
  // Another pack, so that repack makes a new one.
  writeBig(repo, "plain");
  commit(repo, "one more");
  git(["repack", "-q", "-d"], { cwd: repo });
  const replaced = {
    call: "open",
    path: "/objects/pack/pack-[0-9a-f]+\\.idx$",
    git: "repack -a -d -q",
  } as const;
  const done = gitOdb([verb, "-q"], { cwd: repo, env: meanwhile(repo, replaced) });
  expect(done).toMatchObject({ status: 0, stderr: "" });
  expect([missing(repo), fsck(repo)]).toEqual([verb === "gc" ? [] : bigBlobs(repo), ""]);
});

it("no room for the new pack: nothing has changed", () => {
  const { repo } = fixture();
  // What stays of the pack is large, and no file may become so.
  for (let n = 0; n < 3; n++) writeBig(repo, `plain${n}`, 100_000);
  commit(repo, "not for the ODB");
  git(["repack", "-q", "-a", "-d"], { cwd: repo });
  const limited = spawnSync(
    "sh",
    ["-c", 'ulimit -f 100; exec "$0" offload', join(commandFolder(), "git-odb")],
    {
      cwd: repo,
      env: cliEnv(),
      encoding: "utf8",
    },
  );
  expect([limited.status, limited.stderr]).toEqual([128, expect.stringMatching(/^fatal: [^\n]*\n$/)]);
  expect([missing(repo), fsck(repo)]).toEqual([[], ""]);
  // Room that is short already is not taken by what could not be finished.
  const objects = join(repo, ".git/objects");
  const left = [...readdirSync(objects), ...readdirSync(join(objects, "pack"))];
  expect(left.filter((name) => /^(?:tmp|git-odb)/.test(name))).toEqual([]);
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect([missing(repo), fsck(repo)]).toEqual([bigBlobs(repo), ""]);
});

it("is interrupted by a signal as by a kill: the next run finishes", async () => {
  const { repo } = fixture();
  const child = startOdb(["offload"], { cwd: repo });
  child.stderr.resume();
  setTimeout(() => child.kill("SIGINT"), 150);
  await once(child, "exit");
  expect(fsck(repo)).toBe("");
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  expect([missing(repo), fsck(repo)]).toEqual([bigBlobs(repo), ""]);
});

it("leaves alternates and kept packs as they are", () => {
  const { repo } = fixture();
  const borrower = join(tempDir(), "borrower");
  git(["clone", "-q", "-s", "--no-tags", repo, borrower]);
  for (const [key, value] of [
    ["odb.big.url", git(["config", "odb.big.url"], { cwd: repo })],
    ["remote.odb-big.url", "odb::odb:big"],
    ["remote.odb-big.promisor", "true"],
  ] as const)
    git(["config", key, value], { cwd: borrower });
  const all = readdirSync(join(repo, ".git/objects/pack"));
  expect(gitOdb(["offload"], { cwd: borrower }).stderr).toContain("dropped 0 blobs");
  expect(readdirSync(join(repo, ".git/objects/pack"))).toEqual(all);
  const pack = all.find((file) => file.endsWith(".pack")) ?? "";
  const keep = join(repo, ".git/objects/pack", pack.replace(/pack$/, "keep"));
  writeFileSync(keep, "mine\n");
  expect(gitOdb(["offload"], { cwd: repo }).stderr).toMatch(
    /dropped 0 blobs.*\n.*6 more stay, because a .keep file/,
  );
  expect(readFileSync(keep, "utf8")).toBe("mine\n");
  expect(missing(repo)).toEqual([]);
});

it("asks for what git needs to bring blobs back, before anything is dropped", () => {
  const { repo } = fixture();
  git(["config", "--unset", "remote.odb-big.promisor"], { cwd: repo });
  expect(gitOdb(["offload"], { cwd: repo }).stderr).toMatch(
    /remote.odb-big.promisor is not set; run "git odb init big/,
  );
  expect(missing(repo)).toEqual([]);
  expect(gitOdb(["offload"], { cwd: tempRepo() }).stderr).toMatch(/has no ODB: run "git odb init/);
});

it("switches bitmaps off in a bare repository, where git gc would fail without the blobs", () => {
  const { store } = fixture();
  const bare = join(tempDir(), "bare.git");
  git(["clone", "-q", "--bare", source.origin, bare]);
  git(["config", "odb.big.subprocessCommand", "git-odb-helper-file --name big"], { cwd: bare });
  git(["config", "odb.big.url", `file://${store}`], { cwd: bare });
  git(["config", "remote.odb-big.url", "odb::odb:big"], { cwd: bare });
  git(["config", "remote.odb-big.promisor", "true"], { cwd: bare });
  expect(gitOdb(["offload"], { cwd: bare }).stderr).toContain("dropped 0 blobs");
  git(["config", "odb.big.server", "true"], { cwd: bare });
  expect(gitOdb(["offload"], { cwd: bare }).stderr).toMatch(
    /dropped 6 blobs.*\nrepack.writeBitmaps is false now/,
  );
  git(["gc", "-q"], { cwd: bare });
  expect([missing(bare, "main"), fsck(bare)]).toEqual([bigBlobs(bare, "main"), ""]);
});

it("gc makes one pack of many promisor packs, and forgets none of their objects", () => {
  const { repo } = fixture();
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  for (const oid of bigBlobs(repo)) git(["cat-file", "-e", oid], { cwd: repo });
  for (const oid of bigBlobs(repo)) git(["cat-file", "blob", oid], { cwd: repo });
  const packs = () =>
    readdirSync(join(repo, ".git/objects/pack")).filter((file) => file.endsWith(".promisor"));
  const before = packs().length;
  expect(before).toBeGreaterThan(4);
  expect(gitOdb(["gc", "--all"], { cwd: repo }).stderr).toBe(`promisor packs: 1, before ${before - 1}\n`);
  // And the pack of the promise, which stays by itself.
  expect([packs().length, missing(repo), fsck(repo)]).toEqual([2, [], ""]);
  expect(statSync(join(repo, ".git/objects/pack", packs()[0] ?? "")).size).toBe(0);
});
