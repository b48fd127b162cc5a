/** git odb clone from every kind of origin, with the filters that there are, and from one that asks for a password. */

import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cliEnv, gitOdb, startOdb } from "./support/cli.js";
import { type CloneServer, makeCloneServer, noise } from "./support/clone-server.js";
import { git, spawnGit, tryGit } from "./support/git.js";
import { type GitHttpServer, startGitHttp } from "./support/git-http.js";
import { startS3 } from "./support/s3/index.js";
import { startServeProcess } from "./support/serve-process.js";
import { SSHD, type Sshd, startSshd } from "./support/sshd.js";
import { tempDir } from "./support/temp.js";
import { lacksFile } from "./support/tools.js";

const root = tempDir("origins");
/** An ordinary server, and one that has dropped its big blobs. */
let full: CloneServer;
let offloaded: string;
let accept: string;
let http: GitHttpServer;
let ssh: Sshd | undefined;

beforeAll(async () => {
  full = makeCloneServer(root, "full.git");
  accept = `--accept-odb=${full.store}`;
  offloaded = join(root, "offloaded.git");
  git(["clone", "-q", "--bare", full.server, offloaded]);
  git(["fetch", "-q", "origin", "+refs/odbs/*:refs/odbs/*"], { cwd: offloaded });
  git(["remote", "remove", "origin"], { cwd: offloaded });
  for (const args of [
    ["init", "-q", "--server", "media", full.store],
    ["offload", "-q"],
  ]) {
    expect(gitOdb(args, { cwd: offloaded })).toMatchObject({ status: 0 });
  }
  http = await startGitHttp(root);
  const { PATH = "", GIT_EXEC_PATH } = process.env;
  if (!lacksFile(SSHD)) ssh = await startSshd({ PATH, ...(GIT_EXEC_PATH && { GIT_EXEC_PATH }) });
});
afterAll(async () => {
  await http.close();
  await ssh?.[Symbol.asyncDispose]();
});

interface Cloned {
  readonly dir: string;
  readonly status: number;
  readonly stderr: string;
}

/** While this process serves. */
async function clone(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Cloned> {
  const dir = join(tempDir("to"), "clone");
  const child = startOdb(["clone", "-q", ...args, dir], { env });
  child.stdin.end();
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const [status] = (await once(child, "close")) as [number];
  return { dir, status, stderr };
}

/** A git that may ask a server in this process. */
function run(dir: string, ...args: string[]): ReturnType<typeof spawnGit> {
  return spawnGit(args, { cwd: dir, env: cliEnv(ssh?.env) });
}

async function expectWhole({ dir, status, stderr }: Cloned): Promise<void> {
  expect([status, stderr]).toEqual([0, ""]);
  const state = await run(dir, "status", "--porcelain", "--branch");
  expect(state).toMatchObject({ status: 0, stdout: "## main...origin/main\n" });
  expect(readFileSync(join(dir, "big.bin")).equals(noise(100_000, 3))).toBe(true);
  const fsck = await run(dir, "fsck");
  // A promise tree of the server is in no ref here.
  expect([fsck.status, fsck.stdout.replace(/^dangling tree [0-9a-f]+\n/, "")]).toEqual([0, ""]);
}

function missing(dir: string): number {
  const env = { GIT_NO_LAZY_FETCH: "1" };
  const lines = git(["rev-list", "--objects", "--missing=print", "--all"], { cwd: dir, env }).split("\n");
  return lines.filter((line) => line.startsWith("?")).length;
}

describe("a server", () => {
  it.each(["full", "offloaded"])("that is %s is cloned over smart HTTP", async (kind) => {
    const done = await clone([accept, `${http.url}/${kind}.git`]);
    await expectWhole(done);
    expect(missing(done.dir)).toBe(2);
  });

  it.skipIf(lacksFile(SSHD)).each(["full", "offloaded"])("that is %s is cloned over ssh", async (kind) => {
    const done = await clone([accept, `${ssh?.url}${root}/${kind}.git`], ssh?.env);
    await expectWhole(done);
    expect(missing(done.dir)).toBe(2);
    // Later gits reach it, too.
    expect(await run(done.dir, "cat-file", "-s", "HEAD~2:small1.txt")).toMatchObject({
      status: 0,
      stdout: "2\n",
    });
  });

  it("that is offloaded is not cloned without its ODB, and says how it is", async () => {
    const { dir, status, stderr } = await clone([`${http.url}/offloaded.git`]);
    expect([status, stderr]).toEqual([128, expect.stringMatching(/fatal: .*use --accept-odb.*\n$/)]);
    expect(existsSync(dir)).toBe(false);
  });
});

describe("a repository in a bucket", () => {
  it("is cloned by HTTP and from S3 as from a folder", async () => {
    const folder = join(root, "bucket");
    const s3 = await startS3();
    await using server = await startServeProcess(folder);
    const env = { ...s3.env };
    for (const bucket of [folder, s3.url("game")]) {
      const pushed = tryGit(["push", "-q", `odb::${bucket}`, "main"], { cwd: full.work, env: cliEnv(env) });
      expect(pushed).toMatchObject({ status: 0 });
    }
    for (const url of [`odb::${folder}`, `odb::${server.url}`, `odb::${s3.url("game")}`]) {
      const done = await clone([url], env);
      expect([done.status, done.stderr]).toEqual([0, ""]);
      expect(readFileSync(join(done.dir, "big.bin")).equals(noise(100_000, 3))).toBe(true);
      expect(missing(done.dir)).toBe(2);
      expect(git(["config", "remote.origin.url"], { cwd: done.dir })).toMatch(/^odb::/);
    }
    await s3.close();
  });
});

describe("--filter", () => {
  it.each(["blob:limit=1024", "tree:0", "combine:blob:none+tree:3", "object:type=commit"])(
    "%s leaves out what it says, and the rest comes when it is needed",
    async (filter) => {
      git(["config", "uploadpack.allowAnySHA1InWant", "true"], { cwd: full.server });
      const done = await clone([accept, `--filter=${filter}`, `${http.url}/full.git`]);
      await expectWhole(done);
      expect(git(["config", "remote.origin.partialclonefilter"], { cwd: done.dir })).toBe(filter);
      expect(git(["config", "extensions.partialClone"], { cwd: done.dir })).toBe("origin");
      expect(missing(done.dir)).toBeGreaterThan(0);
      const old = await run(done.dir, "log", "--stat", "--format=%s");
      expect([old.status, old.stdout]).toEqual([0, expect.stringContaining("small1.txt")]);
    },
  );

  it("that git does not know is git's error, and nothing is left", async () => {
    const { dir, status, stderr } = await clone([accept, "--filter=nonsense", `${http.url}/full.git`]);
    expect([status, stderr]).toEqual([128, "fatal: git fetch: invalid filter-spec 'nonsense'\n"]);
    expect(existsSync(dir)).toBe(false);
  });
});

describe("--initial-refspec", () => {
  it("says which refs come first: without those of an ODB, it is not used", async () => {
    const url = `${http.url}/full.git`;
    await expectWhole(await clone([accept, "--initial-refspec", "refs/odbs/media/*:refs/odbs/media/*", url]));
    const none = await clone([accept, "--initial-refspec=refs/odbs/other/*:refs/odbs/other/*", url]);
    await expectWhole(none);
    expect(missing(none.dir)).toBe(0);
    expect(git(["for-each-ref", "refs/odbs"], { cwd: none.dir })).toBe("");
    const bad = await clone(["--initial-refspec", "not a refspec", url]);
    expect([bad.status, bad.stderr, existsSync(bad.dir)]).toEqual([
      128,
      "fatal: git fetch: invalid refspec 'not a refspec'\n",
      false,
    ]);
  });
});

describe("an origin that asks for a password", () => {
  const asked = join(root, "asked");

  /** GIT_ASKPASS: a program that writes down what it is asked. */
  function askpass(password: string): NodeJS.ProcessEnv {
    writeFileSync(asked, "");
    const program = join(tempDir("askpass"), "askpass");
    const answer = `case "$1" in User*) echo me ;; *) echo ${password} ;; esac`;
    writeFileSync(program, `#!/bin/sh\necho "$1" >>${asked}\n${answer}\n`, { mode: 0o755 });
    return { GIT_ASKPASS: program, GIT_TERMINAL_PROMPT: "0", TMPDIR: tempDir("tmp") };
  }

  const questions = () => readFileSync(asked, "utf8").split("\n").slice(0, -1);

  it.each(["full", "offloaded"])("asks once, and nothing of it stays (%s)", async (kind) => {
    await using guarded = await startGitHttp(root, { basicAuth: "me:hunter2" });
    const env = askpass("hunter2");
    const done = await clone([accept, `${guarded.url}/${kind}.git`], env);
    await expectWhole(done);
    expect(questions()).toEqual([
      `Username for '${guarded.url}': `,
      expect.stringMatching(/^Password for .*me@/),
    ]);
    expect(readdirSync(env.TMPDIR ?? "")).toEqual([]);
    expect(readFileSync(join(done.dir, ".git/config"), "utf8")).not.toMatch(/hunter2|credential/);
  });

  it("is told of a wrong password once, and nothing is left", async () => {
    await using guarded = await startGitHttp(root, { basicAuth: "me:hunter2" });
    const env = askpass("wrong");
    const { dir, status, stderr } = await clone([accept, `${guarded.url}/full.git`], env);
    expect([status, stderr]).toEqual([128, expect.stringMatching(/Authentication failed/)]);
    expect([questions().length, existsSync(dir), readdirSync(env.TMPDIR ?? "")]).toEqual([2, false, []]);
  });

  it("uses the user's credential helper, and tells it", async () => {
    await using guarded = await startGitHttp(root, { basicAuth: "me:hunter2" });
    const helper = join(root, "helper");
    const told = join(root, "told");
    const answer = 'if [ "$1" = get ]; then echo username=me; echo password=hunter2; fi';
    writeFileSync(helper, `#!/bin/sh\ncat >/dev/null\necho "$1" >>${told}\n${answer}\n`, { mode: 0o755 });
    const config = {
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "credential.helper",
      GIT_CONFIG_VALUE_0: helper,
    };
    const done = await clone([accept, `${guarded.url}/full.git`], { ...askpass("never asked"), ...config });
    await expectWhole(done);
    expect(questions()).toEqual([]);
    expect(readFileSync(told, "utf8")).toContain("store\n");
  });
});
