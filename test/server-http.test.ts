/** A server without big blobs, as clients of stock git meet it over smart HTTP: what they send, and what it bears. */

import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gitVersion } from "./support/bundles.js";
import { cliEnv, gitOdb, startOdb } from "./support/cli.js";
import { git, spawnGit, tempRepo, tryGit } from "./support/git.js";
import { type GitHttpServer, startGitHttp } from "./support/git-http.js";
import { tempDir } from "./support/temp.js";

/** A big file, in bytes: what does not carry one is far below. */
const BIG = 300_000;

const root = tempDir("server");
const store = join(root, "store");
const server = join(root, "game.git");
let http: GitHttpServer;
let url: string;

function bytes(seed: number): Buffer {
  const content = Buffer.alloc(BIG);
  for (let at = 0, state = seed; at < BIG; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    content[at] = state >> 16;
  }
  return content;
}

function commit(repo: string, seed: number, name = "big.bin"): string {
  writeFileSync(join(repo, name), bytes(seed));
  git(["add", "-A"], { cwd: repo });
  git(["commit", "-qm", `${seed}`], { cwd: repo });
  return git(["rev-parse", `HEAD:${name}`], { cwd: repo });
}

function missing(): string[] {
  const env = { GIT_NO_LAZY_FETCH: "1" };
  const lines = git(["rev-list", "--objects", "--missing=print", "--all"], { cwd: server, env }).split("\n");
  return lines.flatMap((line) => (line.startsWith("?") ? [line.slice(1)] : [])).sort();
}

/** `git odb <args>` while this process serves. */
async function odb(cwd: string, ...args: string[]): Promise<{ status: number; stderr: string }> {
  const child = startOdb(args, { cwd });
  child.stdin.end();
  child.stdout.resume();
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const [status] = (await once(child, "close")) as [number];
  return { status, stderr };
}

async function ours(): Promise<string> {
  const dir = join(tempDir("to"), "clone");
  const done = await odb(root, "clone", "-q", `--accept-odb=${store}`, url, dir);
  expect(done).toEqual({ status: 0, stderr: "" });
  return dir;
}

/** What a push of everything sends, in bytes. */
async function push(cwd: string): Promise<number> {
  const before = http.received();
  const done = await spawnGit(["push", "-q", "origin", "HEAD:main"], { cwd, env: cliEnv() });
  expect(done).toMatchObject({ status: 0 });
  return http.received() - before;
}

beforeAll(async () => {
  const work = tempRepo();
  writeFileSync(join(work, ".gitattributes"), "*.bin odb=media\n");
  for (const seed of [1, 2, 3]) commit(work, seed);
  const run = (cwd: string, ...args: string[]) => expect(gitOdb(args, { cwd })).toMatchObject({ status: 0 });
  run(work, "init", "-q", "media", store);
  git(["clone", "-q", "--bare", work, server]);
  git(["remote", "remove", "origin"], { cwd: server });
  git(["config", "http.receivepack", "true"], { cwd: server });
  git(["remote", "add", "origin", server], { cwd: work });
  run(work, "push", "-q", "--all", "origin");
  run(server, "init", "-q", "--server", "--publish", "media", store);
  run(server, "offload", "-q");
  expect(missing().length).toBe(3);
  // Its hooks find the commands as an admin's PATH has them.
  http = await startGitHttp(root, { env: { PATH: cliEnv().PATH ?? "" } });
  url = `${http.url}/game.git`;
});
afterAll(() => http.close());

describe("a push over HTTP", () => {
  it("after git odb push carries no big file, and after a clone of stock git's carries only new ones", async () => {
    const mine = await ours();
    const fresh = commit(mine, 4);
    expect(await odb(mine, "push", "-q")).toEqual({ status: 0, stderr: "" });
    expect(await push(mine)).toBeLessThan(BIG / 10);
    expect(missing()).toContain(fresh);

    // A client that knows the store, but no promise tree and none of our verbs.
    const plain = join(tempDir("to"), "plain");
    const config = ["-c", `remote.odb-media.url=odb::${store}`, "-c", "remote.odb-media.promisor=true"];
    const cloned = await spawnGit(["clone", "-q", ...config, "--filter=blob:none", url, plain], {
      env: cliEnv(),
    });
    expect(cloned).toMatchObject({ status: 0 });
    const unknown = commit(plain, 5);
    expect(await push(plain)).toBeGreaterThan(BIG);
    expect(missing()).not.toContain(unknown);
    expect(gitOdb(["offload", "-q"], { cwd: server }).status).toBe(0);
    // It was never put into the store, so it stays.
    expect(missing()).not.toContain(unknown);
    await spawnGit(["pull", "-q", "--ff-only"], { cwd: mine, env: cliEnv() });
    expect(await odb(mine, "push", "-q", "--all")).toMatchObject({ status: 0 });
    expect(gitOdb(["offload", "-q"], { cwd: server }).status).toBe(0);
    expect(missing()).toContain(unknown);
  });

  it("to the promise refs is refused", async () => {
    const mine = await ours();
    const before = git(["rev-parse", "refs/odbs-promise/media"], { cwd: server });
    const refs = await spawnGit(["ls-remote", "origin", "refs/odbs-promise/*"], { cwd: mine });
    expect(refs.stdout).toBe(`${before}\trefs/odbs-promise/media\n`);
    for (const spec of ["+HEAD^{tree}:refs/odbs-promise/media", ":refs/odbs-promise/media"]) {
      const done = await spawnGit(["push", "origin", spec], { cwd: mine, env: cliEnv() });
      expect([done.status, done.stderr]).toEqual([
        1,
        expect.stringMatching(/is written by this server alone/),
      ]);
    }
    expect(git(["rev-parse", "refs/odbs-promise/media"], { cwd: server })).toBe(before);
  });
});

// By one connection: over HTTP, git up to 2.55 does not say with the request for objects what it has accepted, and each
// request has a process of its own (docs/server.md).
describe("a stock git that takes a promisor from the server", () => {
  it.skipIf(gitVersion < 250).each(["knownName", "knownUrl"])(
    "(promisor.acceptFromServer=%s) clones with a filter by size, and the server stays as it is",
    async (accept) => {
      const before = missing();
      const dir = join(tempDir("to"), "clone");
      const config = [
        `remote.odb-media.url=${git(["config", "remote.odb-media.url"], { cwd: server })}`,
        "remote.odb-media.promisor=true",
        `promisor.acceptFromServer=${accept}`,
      ];
      const args = ["clone", "-q", ...config.flatMap((one) => ["-c", one]), "--filter=blob:limit=50k"];
      const done = await spawnGit([...args, `file://${server}`, dir], { env: cliEnv() });
      expect(done).toMatchObject({ status: 0 });
      expect(readFileSync(join(dir, "big.bin")).length).toBe(BIG);
      expect(tryGit(["fsck"], { cwd: dir, env: cliEnv() }).status).toBe(0);
      expect(missing()).toEqual(before);
    },
  );
});

describe("on the server", () => {
  it("git gc, repack, prune and maintenance bring nothing back and lose nothing", async () => {
    const before = missing();
    const tasks = ["gc", "commit-graph", "loose-objects", "incremental-repack"];
    for (const args of [
      ["gc", "-q", "--prune=now"],
      ["repack", "-adfq"],
      ["gc", "-q", "--aggressive"],
      ["prune", "--expire=now"],
      ["maintenance", "run", "--quiet", ...tasks.map((task) => `--task=${task}`)],
    ]) {
      const done = tryGit(args, { cwd: server, env: cliEnv() });
      expect([args, done.status, done.stderr]).toEqual([args, 0, ""]);
      expect(missing()).toEqual(before);
      expect(tryGit(["fsck"], { cwd: server, env: cliEnv() }).status).toBe(0);
    }
    const shown = await spawnGit(["show", "--stat", "--oneline"], { cwd: await ours(), env: cliEnv() });
    expect(shown.stdout).toContain("big.bin");
  });

  it("two admins who offload at the same time, while somebody pushes, lose nothing", async () => {
    const mine = await ours();
    const fresh = [10, 11, 12].map((seed) => commit(mine, seed, `${seed}.bin`));
    expect(await odb(mine, "push", "-q", "--all")).toMatchObject({ status: 0 });
    await push(mine);
    commit(mine, 13, "13.bin");
    const ends = await Promise.all([odb(server, "offload", "-q"), odb(server, "offload", "-q"), push(mine)]);
    for (const end of ends.slice(0, 2) as { status: number; stderr: string }[]) {
      // The later one may have to wait for another time.
      if (end.status !== 0) expect(end.stderr).toMatch(/at work on the packs.*run this again/);
    }
    expect(gitOdb(["offload", "-q"], { cwd: server }).status).toBe(0);
    expect(missing()).toEqual(expect.arrayContaining(fresh));
    expect(tryGit(["fsck"], { cwd: server, env: cliEnv() }).status).toBe(0);
    const again = await ours();
    for (const seed of [10, 11, 12, 13]) {
      expect(readFileSync(join(again, `${seed}.bin`)).equals(bytes(seed))).toBe(true);
    }
  });
});
