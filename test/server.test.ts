/** A bare repository that keeps no big blobs: what it promises, what clients push to it, and what it refuses. */

import { chmodSync, cpSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cliEnv, gitOdb } from "./support/cli.js";
import { git, tempRepo, tryGit } from "./support/git.js";
import { tempDir } from "./support/temp.js";

const env = cliEnv();
let template: string;
let root: string;
let store: string;
let server: string;

function run(cwd: string, ...args: string[]): void {
  expect(gitOdb(args, { cwd })).toMatchObject({ status: 0 });
}

function commit(repo: string, seed: number): string {
  writeFileSync(join(repo, "big.bin"), Buffer.alloc(100_000, `${seed} ${"x".repeat(seed)}`));
  git(["add", "-A"], { cwd: repo });
  git(["commit", "-qm", `${seed}`], { cwd: repo });
  return git(["rev-parse", "HEAD:big.bin"], { cwd: repo });
}

function missing(repo: string): string[] {
  const lines = git(["rev-list", "--objects", "--missing=print", "--all"], {
    cwd: repo,
    env: { GIT_NO_LAZY_FETCH: "1" },
  });
  return lines
    .split("\n")
    .filter((line) => line.startsWith("?"))
    .map((line) => line.slice(1))
    .sort();
}

function promised(): string[] {
  const lines = git(["ls-tree", "-r", "--format=%(objectname)", "refs/odbs-promise/media"], { cwd: server });
  return lines.split("\n").sort();
}

function clone(): string {
  const dir = join(tempDir("to"), "clone");
  run(root, "clone", "-q", `--accept-odb=${store}`, `file://${server}`, dir);
  return dir;
}

/** A server with three versions of a big file, all of them dropped there, to be copied. */
beforeAll(() => {
  template = tempDir("template");
  place(template);
  const work = tempRepo();
  writeFileSync(join(work, ".gitattributes"), "*.bin odb=media\n");
  for (const seed of [1, 2, 3]) commit(work, seed);
  run(work, "init", "-q", "media", store);
  git(["clone", "-q", "--bare", work, server]);
  git(["remote", "add", "origin", server], { cwd: work });
  run(work, "push", "-q", "--all", "origin");
  run(server, "init", "-q", "--server", "--publish", "media", store);
  run(server, "offload", "-q");
});

beforeEach(() => {
  place(tempDir("server"));
  cpSync(template, root, { recursive: true, preserveTimestamps: true });
  git(["config", "odb.media.url", `file://${store}`], { cwd: server });
  git(["config", "remote.odb-media.url", `odb::file://${store}`], { cwd: server });
  run(server, "init", "-q", "--publish", "media");
});

function place(folder: string): void {
  root = folder;
  store = join(root, "store");
  server = join(root, "server.git");
}

describe("pushes", () => {
  it("bring no blob that the store has: neither a new one that was put there first, nor an old one again", () => {
    const before = missing(server);
    expect(before.length).toBe(3);
    const mine = clone();
    const fresh = commit(mine, 4);
    run(mine, "push", "-q");
    expect(promised()).toEqual([...before, fresh].sort());
    git(["push", "-q"], { cwd: mine, env });
    expect(missing(server)).toEqual([...before, fresh].sort());
    // An old version under a new name, in a commit of its own.
    git(["checkout", "-q", "HEAD~3", "--", "big.bin"], { cwd: mine, env });
    git(["commit", "-qm", "back"], { cwd: mine });
    git(["push", "-q"], { cwd: mine, env });
    expect(missing(server)).toEqual([...before, fresh].sort());
    expect(tryGit(["fsck"], { cwd: server }).status).toBe(0);
    git(["gc", "-q", "--prune=now"], { cwd: server });
    expect(readFileSync(join(clone(), "big.bin"), "latin1")).toBe(Buffer.alloc(100_000, "1 x").toString());
  });

  it("are accepted with their blobs, which the next offload drops", () => {
    const mine = clone();
    run(mine, "install", "-q");
    const fresh = commit(mine, 4);
    git(["push", "-q"], { cwd: mine, env });
    expect(missing(server)).not.toContain(fresh);
    run(server, "offload", "-q");
    expect(missing(server)).toContain(fresh);
  });

  it("cannot change what the server promises, and a claim is not believed without the store", () => {
    const mine = clone();
    const before = git(["rev-parse", "refs/odbs-promise/media"], { cwd: server });
    for (const spec of ["+HEAD^{tree}:refs/odbs-promise/media", ":refs/odbs-promise/media"]) {
      const done = tryGit(["push", "origin", spec, "HEAD:refs/heads/other"], { cwd: mine, env });
      expect([done.status, done.stderr]).toEqual([
        1,
        expect.stringMatching(/is written by this server alone/),
      ]);
    }
    expect(tryGit(["rev-parse", "--verify", "-q", "other"], { cwd: server }).status).toBe(1);
    // A metadata ref about a blob that nobody has put into the store.
    const oid = git(["hash-object", "-w", "--stdin"], { cwd: mine, input: "never stored" });
    const blob = git(["hash-object", "-w", "--stdin"], { cwd: mine, input: `${oid} 12 blob\n` });
    git(["push", "-q", "origin", `${blob}:refs/odbs/media/${oid}`], { cwd: mine, env });
    expect(git(["rev-parse", "refs/odbs-promise/media"], { cwd: server })).toBe(before);
    // And one about a blob of which the store has wrong bytes: the push is not held up, the promise not made.
    const fresh = commit(mine, 5);
    expect(gitOdb(["put", "-q", "media", "HEAD:big.bin"], { cwd: mine }).status).toBe(0);
    const stored = join(store, "objects", fresh.slice(0, 2), fresh);
    chmodSync(stored, 0o644);
    writeFileSync(stored, Buffer.alloc(100_000, "wrong"));
    const meta = `refs/odbs/media/${fresh}`;
    const told = tryGit(["push", "-q", "origin", `${meta}:${meta}`], { cwd: mine, env });
    expect([told.status, told.stderr]).toEqual([
      0,
      expect.stringMatching(/this server does not know it yet/),
    ]);
    expect(git(["rev-parse", "refs/odbs-promise/media"], { cwd: server })).toBe(before);
  });

  it("of a clone that has everything stay as they are: it gets no promise that would cost it its copies", () => {
    const whole = join(tempDir("to"), "whole");
    run(root, "clone", "-q", `--accept-odb=${store}`, "--no-filter", `file://${server}`, whole);
    expect(missing(whole)).toEqual([]);
    const other = tempRepo();
    git(["remote", "add", "origin", server], { cwd: other });
    run(other, "init", "-q", "media", store);
    writeFileSync(join(other, ".gitattributes"), "*.bin odb=media\n");
    const oid = commit(other, 7);
    run(other, "push", "-q", "origin");
    expect(promised()).toContain(oid);
    const tree = git(["rev-parse", "refs/odbs-promise/media"], { cwd: server });
    const local = tryGit(["cat-file", "-e", tree], { cwd: other, env: { GIT_NO_LAZY_FETCH: "1" } });
    expect(local.status).not.toBe(0);
    git(["gc", "-q", "--prune=now"], { cwd: other });
    expect(missing(other)).toEqual([]);
  });
});

describe("git odb init --server", () => {
  it("is for bare repositories, keeps a hook of the admin's, and does the same again without a change", () => {
    const config = readFileSync(join(server, "config"), "utf8");
    run(server, "init", "-q", "--server", "media", store);
    expect(readFileSync(join(server, "config"), "utf8")).toBe(config);
    const refused = gitOdb(["init", "-q", "--server", "media", store], { cwd: tempRepo() });
    expect([refused.status, refused.stderr]).toEqual([128, expect.stringMatching(/is not bare/)]);
    const own = tempRepo("--bare");
    const hook = join(own, "hooks/pre-receive");
    writeFileSync(hook, "#!/bin/sh\nexit 0\n");
    const kept = gitOdb(["init", "-q", "--server", "media", store], { cwd: own });
    expect([kept.status, kept.stderr]).toEqual([
      128,
      expect.stringMatching(/is a hook of yours and stays.*\.server true/),
    ]);
    expect(readFileSync(hook, "utf8")).toBe("#!/bin/sh\nexit 0\n");
    expect(gitOdb(["offload", "-q", "--promise"], { cwd: own }).stderr).toMatch(/--promise is for a server/);
    git(["config", "odb.media.server", "true"], { cwd: own });
    run(own, "init", "-q", "--server", "media", store);
    expect(existsSync(join(own, "hooks/post-receive"))).toBe(true);
  });

  it("loses nothing while the store is away", () => {
    const mine = clone();
    renameSync(store, `${store}.away`);
    const fresh = commit(mine, 6);
    const push = tryGit(["push", "-q"], { cwd: mine, env });
    expect(push.status).toBe(0);
    expect(gitOdb(["offload"], { cwd: server }).status).toBe(128);
    expect(missing(server)).not.toContain(fresh);
    renameSync(`${store}.away`, store);
    run(mine, "push", "-q", "--all");
    run(server, "offload", "-q");
    expect(missing(server)).toContain(fresh);
  });
});
