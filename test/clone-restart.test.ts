/** git odb clone, killed at a step: the same command goes on with what is left, and ends where a clone in one go does. */

import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { cliEnv, gitOdb, startOdb } from "./support/cli.js";
import { type CloneServer, makeCloneServer } from "./support/clone-server.js";
import { git, tryGit } from "./support/git.js";
import { tempDir } from "./support/temp.js";

let full: CloneServer;
let url: string;
let accept: string;
let oracle: string;

/** Refs, settings and files: all that a user sees of a clone. */
function described(dir: string): unknown {
  const config = git(["config", "--local", "--list"], { cwd: dir }).split("\n").sort();
  return {
    refs: git(["for-each-ref"], { cwd: dir }),
    head: git(["symbolic-ref", "HEAD"], { cwd: dir }),
    // A second git init sets it back, as long as nothing depends on it.
    config: config.filter((line) => !line.startsWith("core.repositoryformatversion=")),
    status: git(["status", "--porcelain", "--branch"], { cwd: dir }),
    files: readdirSync(dir).sort(),
  };
}

beforeAll(() => {
  const root = tempDir("restart");
  full = makeCloneServer(root, "full.git");
  url = `file://${full.server}`;
  accept = `--accept-odb=${full.store}`;
  oracle = join(root, "oracle");
  expect(gitOdb(["clone", "-q", accept, url, oracle]).status).toBe(0);
});

function killed(at: string, who: "self" | "git", args: readonly string[]) {
  const preload = resolve(import.meta.dirname, "support/kill-git.cjs");
  const env = { KILL_GIT: at, KILL_WHO: who, NODE_OPTIONS: `--require ${preload}` };
  return gitOdb(["clone", "-q", ...args], { env });
}

/** The gits of the one that was killed may live on for a moment. */
async function goOn(args: readonly string[], dir: string): Promise<void> {
  await sleep(100);
  expect(gitOdb(["clone", "-q", ...args])).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(tryGit(["fsck", "--connectivity-only"], { cwd: dir }).status).toBe(0);
}

describe("a clone that was killed", () => {
  it.each(["init", "fetch:1", "config:12", "fetch:2", "branch"])(
    "at %s goes on when it is run again",
    async (at) => {
      const dir = join(tempDir("to"), "clone");
      expect(killed(at, "self", [accept, url, dir]).status).toBe(137);
      expect(readdirSync(dir)).toEqual([".git"]);
      // What a killed git may have left in the way.
      for (const name of ["config.lock", "packed-refs.lock"]) writeFileSync(join(dir, ".git", name), "");
      const other = gitOdb(["clone", "-q", "--no-filter", accept, url, dir]);
      expect([other.status, other.stderr]).toEqual([
        128,
        expect.stringMatching(/beginning of another clone/),
      ]);
      await goOn([accept, "--no-checkout", url, dir], dir);
      expect(git(["symbolic-ref", "HEAD"], { cwd: dir })).toBe("refs/heads/main");
      git(["checkout", "--quiet", "--force"], { cwd: dir, env: cliEnv() });
      expect(described(dir)).toEqual(described(oracle));
    },
  );

  it("in git clone, of a repository in a bucket, begins anew", async () => {
    const bucket = `odb::${join(tempDir("bucket"), "b")}`;
    expect(tryGit(["push", "-q", bucket, "main"], { cwd: full.work, env: cliEnv() }).status).toBe(0);
    const dir = join(tempDir("to"), "clone");
    expect(killed("rev-parse", "self", [bucket, dir]).status).toBe(137);
    expect(readdirSync(dir)).toEqual([".git"]);
    await goOn([bucket, dir], dir);
    expect(tryGit(["config", "--get-regexp", "^odbclone"], { cwd: dir }).status).toBe(1);
    expect(git(["status", "--porcelain"], { cwd: dir })).toBe("");
  });

  it("is not gone on with where there is anything else, or where its process still runs", async () => {
    const dir = join(tempDir("to"), "clone");
    expect(killed("fetch:2", "self", [accept, url, dir]).status).toBe(137);
    writeFileSync(join(dir, "mine"), "mine");
    const mixed = gitOdb(["clone", "-q", accept, url, dir]);
    expect([mixed.status, mixed.stderr]).toEqual([128, expect.stringMatching(/is not an empty directory/)]);
    expect(readdirSync(dir).sort()).toEqual([".git", "mine"]);
    const busy = join(tempDir("to"), "clone");
    mkdirSync(join(busy, ".git"), { recursive: true });
    const words = JSON.stringify(["clone", url, "origin", "", ""]);
    const config = join(busy, ".git/config");
    git(["config", "--file", config, "odbclone.request", words]);
    git(["config", "--file", config, "odbclone.process", `${process.pid} ${hostname()}`]);
    const second = gitOdb(["clone", "-q", accept, url, busy]);
    expect([second.status, second.stderr]).toEqual([128, expect.stringMatching(/is making this very clone/)]);
  });
});

describe("a git of the clone that was killed", () => {
  it("before the history is there leaves nothing", () => {
    const dir = join(tempDir("to"), "clone");
    const done = killed("fetch:2", "git", [accept, url, dir]);
    expect(done).toMatchObject({ status: 128, stderr: "fatal: git fetch: killed by SIGKILL\n" });
    expect(existsSync(dir)).toBe(false);
  });

  it("in the checkout leaves a clone that the command it names completes", async () => {
    const dir = join(tempDir("to"), "clone");
    const child = startOdb(["clone", "-q", accept, url, dir], {
      env: {
        KILL_GIT: "checkout",
        KILL_WHO: "git",
        NODE_OPTIONS: `--require ${resolve(import.meta.dirname, "support/kill-git.cjs")}`,
      },
    });
    child.stdin.end();
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    expect((await once(child, "close"))[0]).toBe(128);
    expect(stderr).toContain(`run "git checkout --force" in ${dir}`);
    await sleep(100);
    expect(tryGit(["checkout", "--quiet", "--force"], { cwd: dir, env: cliEnv() }).status).toBe(0);
    expect(described(dir)).toEqual(described(oracle));
    const again = gitOdb(["clone", "-q", accept, url, dir]);
    expect([again.status, again.stderr]).toEqual([
      128,
      expect.stringMatching(/already exists and is not an empty directory; .*git checkout --force/),
    ]);
  });
});

describe("a clone of a repository in a bucket", () => {
  let bucket: string;
  beforeAll(() => {
    bucket = `odb::${join(tempDir("bucket"), "b")}`;
    expect(tryGit(["push", "-q", bucket, "main"], { cwd: full.work, env: cliEnv() }).status).toBe(0);
  });

  describe.each([
    ["git clone", ["clone", "-q"]],
    ["git odb clone", ["odb", "clone", "-q"]],
  ])("by %s", (_, command) => {
    it.each(["git", "self"] as const)(
      "of which the index-pack (git) or the remote helper (self) was killed: %s leaves nothing, and can be run again",
      (who) => {
        const dir = join(tempDir("to"), "clone");
        const preload = resolve(import.meta.dirname, "support/kill-git.cjs");
        const kill = { KILL_IN: "git-remote-odb", KILL_GIT: "index-pack", KILL_WHO: who };
        const env = cliEnv({ ...kill, NODE_OPTIONS: `--require ${preload}` });
        const { status, stderr } = tryGit([...command, bucket, dir], { env });
        expect([status, stderr]).toEqual([128, expect.stringMatching(/^(?:git-remote-odb|fatal|error): /m)]);
        expect(existsSync(dir)).toBe(false);
        expect(tryGit([...command, bucket, dir], { env: cliEnv() })).toMatchObject({ status: 0, stderr: "" });
        expect(git(["status", "--porcelain"], { cwd: dir })).toBe("");
        expect(tryGit(["fsck"], { cwd: dir, env: cliEnv() }).status).toBe(0);
      },
    );
  });
});
