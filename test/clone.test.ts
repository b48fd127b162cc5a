/** git odb clone: real git servers, real stores, and what git clone itself would have made as the oracle. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cliEnv, gitOdb, startOdb } from "./support/cli.js";
import { type CloneServer, makeCloneServer, noise } from "./support/clone-server.js";
import { type FaultyProxy, startFaultyProxy } from "./support/faulty-proxy.js";
import { git, spawnGit, tempRepo, tryGit } from "./support/git.js";
import { type GitHttpServer, startGitHttp } from "./support/git-http.js";
import { startServeProcess } from "./support/serve-process.js";
import { startStaticServer } from "./support/static-server.js";
import { tempDir } from "./support/temp.js";
import { lacks } from "./support/tools.js";

const root = tempDir("clone");
const store = join(root, "store");
const accept = `--accept-odb=${store}`;

function makeServer(name: string, ...initArgs: string[]): CloneServer {
  return makeCloneServer(root, name, ...initArgs);
}

let full: CloneServer;
let http: GitHttpServer;
let proxy: FaultyProxy;

beforeAll(async () => {
  full = makeServer("full.git");
  http = await startGitHttp(root);
  proxy = await startFaultyProxy(http.url);
});
afterAll(async () => {
  await proxy.close();
  await http.close();
});

/** A clone in a folder that is not there yet. */
async function clone(...args: string[]): Promise<{ dir: string; status: number | null; stderr: string }> {
  const dir = join(tempDir("to"), "clone");
  // The servers are in this process: it must not be blocked.
  const child = startOdb(["clone", ...args, dir]);
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdin.end();
  const [status] = await once(child, "close");
  return { dir, status, stderr };
}

/** What must be alike in a clone of ours and one of git's. */
function described(dir: string) {
  const run = (...args: string[]) => git(args, { cwd: dir });
  const refs = run("for-each-ref", "--format=%(refname) %(objectname) %(symref)");
  const config = run("config", "--local", "--list").split("\n");
  return {
    head: tryGit(["symbolic-ref", "HEAD"], { cwd: dir }).stdout,
    commit: tryGit(["rev-parse", "HEAD"], { cwd: dir }).stdout,
    refs: refs.split("\n").filter((line) => !line.startsWith("refs/odbs/")),
    config: config.filter((line) => /^(branch\.|remote\.(?!odb-)[^.]*\.(url|fetch)|submodule)/.test(line)),
    status: run("status", "--porcelain", "--branch"),
    files: readdirSync(dir).sort(),
  };
}

/** The clone is whole: git has no complaint, and every blob of every commit can be read. */
function expectWhole(dir: string): void {
  const env = cliEnv();
  expect(tryGit(["fsck"], { cwd: dir, env })).toMatchObject({ status: 0, stdout: "" });
  const blobs = git(
    ["rev-list", "--objects", "--all", "--filter=object:type=blob", "--filter-print-omitted"],
    {
      cwd: dir,
      env,
    },
  );
  expect(blobs).not.toContain("?");
  for (const n of [0, 1, 2]) {
    const oid = git(["rev-parse", `origin/main~${n}:big.bin`], { cwd: dir });
    const bytes = git(["cat-file", "blob", oid], { cwd: dir, env: { ...env, LC_ALL: "C" } });
    expect(bytes.length).toBeGreaterThan(0);
    expect(git(["hash-object", "--stdin"], { cwd: dir, input: noise(100_000, 3 - n) })).toBe(oid);
  }
}

function missingBlobs(dir: string): string[] {
  const env = { GIT_NO_LAZY_FETCH: "1" };
  const lines = git(["rev-list", "--objects", "--missing=print", "--all"], { cwd: dir, env }).split("\n");
  return lines.filter((line) => line.startsWith("?")).map((line) => line.slice(1));
}

function allBigBlobs(): string[] {
  return [0, 1, 2].map((n) => git(["rev-parse", `main~${n}:big.bin`], { cwd: full.work }));
}

describe("a server that has everything", () => {
  it.each(["path", "file", "http"] as const)(
    "by %s: the same clone as git's, but old big blobs stay in the store",
    async (by) => {
      const url = { path: full.server, file: `file://${full.server}`, http: `${http.url}/full.git` }[by];
      const { dir, status, stderr } = await clone(accept, url);
      expect([status, stderr]).toEqual([0, expect.stringContaining(`ODB media: file://${store}`)]);
      const oracle = join(tempDir("oracle"), "clone");
      expect((await spawnGit(["clone", "-q", url, oracle])).status).toBe(0);
      expect(described(dir)).toEqual(described(oracle));
      const [now, ...old] = allBigBlobs();
      expect(missingBlobs(dir).sort()).toEqual([...old].sort());
      expect(readFileSync(join(dir, "big.bin")).equals(noise(100_000, 3))).toBe(true);
      expect(git(["rev-parse", "HEAD:big.bin"], { cwd: dir })).toBe(now);
      expect(git(["config", "remote.origin.partialCloneFilter"], { cwd: dir })).toBe("blob:limit=100000");
      expect(tryGit(["config", "extensions.partialClone"], { cwd: dir }).status).toBe(1);
      expectWhole(dir);
    },
  );

  it("gives everything with --no-filter, and what a filter of the user's says", async () => {
    const all = await clone(accept, "--no-filter", `file://${full.server}`);
    expect([all.status, missingBlobs(all.dir)]).toEqual([0, []]);
    expect(git(["config", "core.repositoryFormatVersion"], { cwd: all.dir })).toBe("0");
    const none = await clone(accept, "--filter=blob:none", "--no-checkout", `file://${full.server}`);
    expect([none.status, missingBlobs(none.dir).length]).toEqual([0, 7]);
    expect(none.stderr).toMatch(/Partial clone \(blob:none\).*git 2\.39 and later/);
    expect(git(["config", "extensions.partialClone"], { cwd: none.dir })).toBe("origin");
    expect(readdirSync(none.dir)).toEqual([".git"]);
    expect(git(["symbolic-ref", "HEAD"], { cwd: none.dir })).toBe("refs/heads/main");
    expectWhole(none.dir);
  });

  it("--branch takes a branch or a tag, --origin another name, and says what is not there", async () => {
    const url = `file://${full.server}`;
    const cases: string[][] = [
      ["--branch", "side"],
      ["-b", "v1", "-o", "upstream"],
      ["--branch=main", "--no-checkout"],
    ];
    for (const args of cases) {
      const ours = await clone(accept, ...args, url);
      expect([args, ours.status]).toEqual([args, 0]);
      const oracle = join(tempDir("oracle"), "clone");
      git(["clone", "-q", ...args, url, oracle]);
      expect(described(ours.dir)).toEqual(described(oracle));
    }
    const gone = await clone("--branch", "gone", url);
    expect([gone.status, existsSync(gone.dir)]).toEqual([128, false]);
    expect(gone.stderr).toMatch(/fatal: remote branch gone not found/);
  });

  it("guesses the branch of a detached HEAD as git does, or stays detached", async () => {
    const server = join(root, "detached.git");
    git(["clone", "-q", "--bare", full.work, server]);
    for (const at of ["main", "main~1", "main~2"]) {
      git(["update-ref", "--no-deref", "HEAD", git(["rev-parse", at], { cwd: server })], { cwd: server });
      const ours = await clone(server);
      const oracle = join(tempDir("oracle"), "clone");
      git(["clone", "-q", server, oracle]);
      expect(described(ours.dir)).toEqual(described(oracle));
    }
  });

  it("is cloned whole without the ODB, when nobody accepts its store", async () => {
    const { dir, status, stderr } = await clone("--accept-odb", full.server);
    expect(status).toBe(0);
    expect(stderr).toMatch(
      new RegExp(
        `warning: ODB "media" is not used: .*file: is on this machine.*--accept-odb=file://${store}, or run "git odb init media file://${store}" in the clone\n`,
      ),
    );
    expect(missingBlobs(dir)).toEqual([]);
    expect(tryGit(["config", "--get-regexp", "^odb\\."], { cwd: dir }).status).toBe(1);
    expect(git(["config", "core.repositoryFormatVersion"], { cwd: dir })).toBe("0");
  });

  it("works with SHA-256", async () => {
    const sha256 = makeServer("sha256.git", "--object-format=sha256");
    const { dir, status } = await clone(`--accept-odb=${sha256.store}`, `file://${sha256.server}`);
    expect([status, git(["rev-parse", "--show-object-format"], { cwd: dir })]).toEqual([0, "sha256"]);
    expect(missingBlobs(dir).length).toBe(2);
    expectWhole(dir);
  });
});

describe("what is published", () => {
  it("is a store alone: a command in it makes the whole of it refused", async () => {
    const server = join(root, "evil.git");
    git(["clone", "-q", "--bare", full.work, server]);
    const text = `[odb "media"]\n\turl = https://odb.example.com/\n\tsubprocessCommand = touch ${root}/pwned\n`;
    const oid = git(["hash-object", "-w", "--stdin"], { cwd: server, input: text });
    git(["update-ref", "refs/odbs/media/config", oid], { cwd: server });
    const { dir, status, stderr } = await clone("--accept-odb", server);
    expect([status, stderr.match(/warning: /g)?.length]).toEqual([0, 1]);
    expect(stderr).toMatch(/subprocesscommand" may not be published.*run "git odb init media <url>"/);
    expect(tryGit(["config", "--get-regexp", "^odb\\."], { cwd: dir }).status).toBe(1);
    expect(existsSync(join(root, "pwned"))).toBe(false);
  });

  it("is not used without a word of the user, and never asked about without a terminal", async () => {
    const server = join(root, "public.git");
    git(["clone", "-q", "--bare", full.work, server]);
    const text = '[odb "media"]\n\turl = https://odb.example.com/media\n\tminSize = 2m\n';
    const oid = git(["hash-object", "-w", "--stdin"], { cwd: server, input: text });
    git(["update-ref", "refs/odbs/media/config", oid], { cwd: server });
    const silent = await clone(server);
    expect(silent.stderr).toMatch(/warning: ODB "media" is not used: nobody can be asked .*--accept-odb/);
    const accepted = await clone("--accept-odb", `file://${server}`);
    expect(accepted.status).toBe(0);
    expect(git(["config", "odb.media.url"], { cwd: accepted.dir })).toBe("https://odb.example.com/media");
    expect(git(["config", "odb.media.minSize"], { cwd: accepted.dir })).toBe("2097152");
    expect(git(["config", "odb.media.subprocessCommand"], { cwd: accepted.dir })).toBe(
      "git-odb-helper-http --name media",
    );
  });

  it("may be of several ODBs, each judged by itself; a name that is none is passed over", async () => {
    const server = join(root, "two.git");
    git(["clone", "-q", "--bare", full.server, server]);
    git(["fetch", "-q", "origin", "+refs/odbs/*:refs/odbs/*"], { cwd: server });
    git(["config", "uploadpack.allowFilter", "true"], { cwd: server });
    for (const [ref, url] of [
      ["refs/odbs/public/config", "https://odb.example.com/media"],
      ["refs/odbs/mine/config", "s3://b/p?profile=prod"],
      ["refs/odbs/-o.$x;&/config", "https://odb.example.com/odd"],
    ]) {
      const [, name] = /^refs\/odbs\/(.*)\/config$/.exec(ref ?? "") ?? [];
      const input = `[odb "${name}"]\n\turl = ${url}\n`;
      git(["update-ref", ref ?? "", git(["hash-object", "-w", "--stdin"], { cwd: server, input })], {
        cwd: server,
      });
    }
    const other = "--accept-odb=https://elsewhere.example.com/";
    const { dir, status, stderr } = await clone(accept, other, `file://${server}`);
    expect(status).toBe(0);
    expect(stderr.match(/warning: ODB "[^"]*"/g)).toEqual(['warning: ODB "mine"', 'warning: ODB "public"']);
    const urls = git(["config", "--get-regexp", "^odb\\..*\\.url$"], { cwd: dir });
    expect(urls).toBe(`odb.media.url file://${store}`);
    expect(missingBlobs(dir).length).toBe(2);
    // As the warning says.
    const [, command = ""] = /run "git (odb init public [^"]*)"/.exec(stderr) ?? [];
    expect(gitOdb([...command.split(" ").slice(1), "--no-check"], { cwd: dir }).status).toBe(0);
    expect(git(["config", "odb.public.url"], { cwd: dir })).toBe("https://odb.example.com/media");
    expectWhole(dir);
  });
});

describe("a terminal", () => {
  it.skipIf(lacks("script")).each([
    ["y", "https://odb.example.com/media"],
    ["n", ""],
  ])("is where the user is asked; the answer %s counts", async (answer, url) => {
    const server = join(root, `asked-${answer}.git`);
    git(["clone", "-q", "--bare", full.work, server]);
    const text = '[odb "media"]\n\turl = https://odb.example.com/media\n';
    const oid = git(["hash-object", "-w", "--stdin"], { cwd: server, input: text });
    git(["update-ref", "refs/odbs/media/config", oid], { cwd: server });
    const dir = join(tempDir("to"), "clone");
    const command = `git odb clone --no-checkout file://${server} ${dir}`;
    const env = cliEnv({ GIT_TERMINAL_PROMPT: "1", TERM: "dumb" });
    const child = spawn("script", ["-qec", command, "/dev/null"], { env });
    let shown = "";
    child.stdout.on("data", (chunk) => {
      const asked = shown.includes("[y/N]");
      shown += chunk;
      if (!asked && shown.includes("[y/N]")) child.stdin.write(`${answer}\n`);
    });
    const [status] = await once(child, "close");
    child.stdin.destroy();
    expect([status, shown]).toEqual([0, expect.stringContaining("ODB media: https://odb.example.com/media")]);
    expect(tryGit(["config", "odb.media.url"], { cwd: dir }).stdout.trim()).toBe(url);
    expect(shown.includes('"git odb init media https://odb.example.com/media"')).toBe(answer === "n");
    expect([missingBlobs(dir), tryGit(["fsck"], { cwd: dir }).status]).toEqual([[], 0]);
  });
});

describe("a repository in a bucket", () => {
  it("is cloned as git clones it, its checkout in one batch", async () => {
    const bucket = join(root, "bucket");
    const work = tempRepo();
    const env = cliEnv();
    git(["fetch", "-q", full.work, "main:refs/heads/other"], { cwd: work });
    git(["merge", "-q", "--ff-only", "other"], { cwd: work });
    git(["push", "-q", `odb::${bucket}`, "main"], { cwd: work, env });
    for (const url of [`odb::${bucket}`, `odb::file://${bucket}`]) {
      const { dir, status, stderr } = await clone(url);
      expect([status, stderr]).toEqual([0, expect.not.stringMatching(/warning|fatal/)]);
      expect(missingBlobs(dir).length).toBe(2);
      expect(git(["status", "--porcelain", "--branch"], { cwd: dir })).toBe("## main...origin/main");
      expect(readFileSync(join(dir, "big.bin")).equals(noise(100_000, 3))).toBe(true);
      expect(tryGit(["fsck"], { cwd: dir, env })).toMatchObject({ status: 0, stdout: "" });
    }
  });
});

describe("a bundle ref", () => {
  let folder: string;
  let server: string;

  beforeAll(() => {
    folder = join(root, "bundles");
    mkdirSync(folder);
    git(["bundle", "create", join(folder, "base.bundle"), "--all"], { cwd: full.work });
    server = join(root, "bundled.git");
    git(["clone", "-q", "--bare", full.server, server]);
    git(["config", "uploadpack.allowFilter", "true"], { cwd: server });
    git(["fetch", "-q", "origin", "+refs/odbs/*:refs/odbs/*"], { cwd: server });
  });

  function pointTo(url: string): void {
    const input = `bundle url: ${url}\n`;
    const blob = git(["hash-object", "-w", "--stdin"], { cwd: server, input });
    git(["update-ref", "refs/odbs/media/bundle", blob], { cwd: server });
  }

  it("is used first, so that the server sends only what is newer", async () => {
    await using files = await startStaticServer(folder);
    pointTo(`${files.url}/base.bundle`);
    const { dir, status, stderr } = await clone(accept, `${http.url}/bundled.git`);
    expect([status, stderr]).toEqual([0, expect.stringContaining("fetching bundle")]);
    expect(files.seen).toContain("GET /base.bundle");
    expect(git(["for-each-ref", "refs/bundles"], { cwd: dir })).not.toBe("");
    expectWhole(dir);
  });

  it("whose download is cut goes on with the rest of the file", async () => {
    await using files = await startServeProcess(folder, { readOnly: true });
    await using cutting = await startFaultyProxy(files.url);
    pointTo(`${cutting.url}/base.bundle`);
    const { size } = statSync(join(folder, "base.bundle"));
    // Node throws away what it has received and nobody has read yet when the connection ends.
    const fault = { kind: "truncate", afterBytes: size >> 1, lingerMs: 1500 } as const;
    cutting.add({ path: /base\.bundle$/, fault });
    const { dir, status, stderr } = await clone(accept, `${http.url}/bundled.git`);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining("bundle of ODB")]);
    const [first, second, ...more] = cutting.seen.map(({ headers }) => headers);
    expect([first?.range, first?.["if-range"], more]).toEqual([undefined, undefined, []]);
    const start = Number(/^bytes=([0-9]+)-$/.exec(second?.range ?? "")?.[1]);
    expect(start > 0 && start <= size >> 1).toBe(true);
    expect(second?.["if-range"]).toMatch(/^"/);
    expect(git(["for-each-ref", "refs/bundles"], { cwd: dir })).not.toBe("");
    expectWhole(dir);
  });

  it.each([
    ["of other bytes", "bad.bundle", /http.*bad\.bundle: /],
    ["that is gone", "gone.bundle", /answered 404/],
    ["on commits that are not there", "thin.bundle", /Repository lacks these prerequisite|thin\.bundle: /],
    ["that is no http URL", "file:///etc/passwd", /only http and https/],
  ])("%s is told, and the clone does without", async (_, name, message) => {
    const bytes = readFileSync(join(folder, "base.bundle"));
    writeFileSync(join(folder, "bad.bundle"), bytes.fill(7, bytes.length - 5_000));
    const other = tempRepo();
    for (const n of [1, 2]) git(["commit", "-q", "--allow-empty", "-m", `${n}`], { cwd: other });
    git(["bundle", "create", "-q", join(folder, "thin.bundle"), "main~1..main"], { cwd: other });
    await using files = await startStaticServer(folder);
    pointTo(name.includes(":") ? name : `${files.url}/${name}`);
    const { dir, status, stderr } = await clone(accept, `${http.url}/bundled.git`);
    expect([status, stderr]).toEqual([0, expect.stringMatching(message)]);
    expect(git(["for-each-ref", "refs/bundles"], { cwd: dir })).toBe("");
    expect(missingBlobs(dir).length).toBe(2);
    expectWhole(dir);
  });
});

describe("failures", () => {
  it("refuses a folder that is not empty, takes an empty one, and leaves none behind", async () => {
    const parent = tempDir("to");
    const run = (...args: string[]) => gitOdb(["clone", "-q", accept, ...args], { cwd: parent });
    mkdirSync(join(parent, "used"));
    writeFileSync(join(parent, "used/file"), "mine");
    expect(run(full.server, "used")).toMatchObject({
      status: 128,
      stderr: `fatal: destination path "used" already exists and is not an empty directory\n`,
    });
    expect(readdirSync(join(parent, "used"))).toEqual(["file"]);
    mkdirSync(join(parent, "full"));
    expect(run(full.server)).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(join(parent, "full/big.bin"))).toBe(true);
    mkdirSync(join(parent, "empty"));
    const gone = run(join(root, "no-such.git"), "empty");
    expect([gone.status, gone.stderr]).toEqual([
      128,
      expect.stringMatching(/^fatal: [^\n]*no-such\.git[^\n]*\n$/),
    ]);
    expect(readdirSync(join(parent, "empty"))).toEqual([]);
    expect(run(join(root, "no-such.git")).stderr).toMatch(/does not appear to be a git repository\n$/);
    expect(run(full.server, "/proc/none/clone").stderr).toMatch(/^fatal: make \/proc\/none\/clone[^\n]*\n$/);
    expect(readdirSync(parent).sort()).toEqual(["empty", "full", "used"]);
  });

  it("clones an empty repository as git does", async () => {
    const server = join(root, "empty.git");
    git(["init", "-q", "--bare", "-b", "main", server]);
    const { dir, status, stderr } = await clone(server);
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(/warning: You appear to have cloned an empty/),
    ]);
    expect(git(["config", "remote.origin.url"], { cwd: dir })).toBe(server);
  });

  it("says what is wrong with the command line", () => {
    const cases: [string[], RegExp][] = [
      [["https://me:hunter2@example.com/x.git"], /leave the password out of the URL/],
      [["--bare", full.server], /use "git clone --bare"/],
      [["--accept-odb=ftp://x/", full.server], /expected a path/],
      [["--", "-x"], /is no URL/],
      [["https://example.com/"], /no name for a folder|Could not resolve|unable to access/],
    ];
    for (const [args, message] of cases) {
      const { status, stderr } = gitOdb(["clone", ...args], { cwd: tempDir("to") });
      expect([args, status === 129 || status === 128, stderr]).toEqual([
        args,
        true,
        expect.stringMatching(message),
      ]);
      expect(stderr).not.toContain("hunter2");
    }
  });

  it.each([
    ["metadata", 1, "SIGINT", 130],
    ["history", 2, "SIGTERM", 143],
    ["history", 2, "SIGHUP", 129],
  ] as const)("interrupted while the %s come, it leaves nothing", async (_, nth, signal, code) => {
    proxy.clear();
    proxy.seen.length = 0;
    // Protocol v2: the refs, then the objects, each by a POST.
    proxy.add({ method: "POST", path: /git-upload-pack/, nth: 2 * nth + 1, fault: { kind: "hang" } });
    const dir = join(tempDir("to"), "clone");
    const child = startOdb(["clone", accept, `${proxy.url}/full.git`, dir]);
    child.stdin.end();
    child.stderr.resume();
    const ended = once(child, "close");
    while (!proxy.seen.some(({ fault }) => fault === "hang")) await sleep(20);
    expect(existsSync(join(dir, ".git"))).toBe(true);
    child.kill(signal);
    expect((await ended)[0]).toBe(code);
    expect(existsSync(dir)).toBe(false);
    proxy.clear();
  });

  it("keeps the clone when only the checkout failed, and tells how to go on", async () => {
    proxy.clear();
    // After the refs, the metadata and the history: git's lazy fetch of what the store turns out to lack.
    proxy.add({
      path: /info\/refs/,
      nth: 4,
      times: Number.POSITIVE_INFINITY,
      fault: { kind: "status", status: 500 },
    });
    const oid = allBigBlobs()[0] ?? "";
    const stored = join(store, "objects", oid.slice(0, 2), oid);
    renameSync(stored, `${stored}.away`);
    const { dir, status, stderr } = await clone(accept, `${proxy.url}/full.git`);
    renameSync(`${stored}.away`, stored);
    expect([status, stderr]).toEqual([
      128,
      expect.stringMatching(/fatal: .*checkout failed: run "git checkout --force" in \S+\n$/),
    ]);
    proxy.clear();
    expect(tryGit(["checkout", "--quiet", "--force"], { cwd: dir, env: cliEnv() }).status).toBe(0);
    expect(readFileSync(join(dir, "big.bin")).equals(noise(100_000, 3))).toBe(true);
  });
});

describe("submodules", () => {
  it("come along with --recurse-submodules", async () => {
    const above = tempRepo();
    const env = { GIT_ALLOW_PROTOCOL: "file:http:odb" };
    git(["submodule", "add", "-q", full.server, "part"], { cwd: above, env });
    git(["commit", "-qm", "with a part"], { cwd: above });
    const dir = join(tempDir("to"), "clone");
    const done = gitOdb(["clone", "-q", "--recurse-submodules", above, dir], { env });
    expect([done.status, done.stderr]).toEqual([0, ""]);
    expect(existsSync(join(dir, "part/big.bin"))).toBe(true);
    expect(git(["config", "submodule.active"], { cwd: dir })).toBe(".");
  });
});
