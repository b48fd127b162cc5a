/** Sources behind every transport of git, faithful and faulty: http with passwords and redirects, ssh, git, file. */

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, cpSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { MirrorEvent, MirrorOptions } from "../../src/mirror/options.js";
import { gitCredentials } from "../../src/repo/credential.js";
import { startFaultyProxy } from "../support/faulty-proxy.js";
import { git } from "../support/git.js";
import { startGitHttp } from "../support/git-http.js";
import { addCommit, cloneMirror, expectMirrors, run, sampleRepo, stateOf } from "../support/mirror.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

/** A repository `r` in a new folder, with its `.git`. */
function served(...init: string[]): { root: string; repo: string } {
  const root = tempDir("root");
  const repo = join(root, "r");
  cpSync(sampleRepo(...init), repo, { recursive: true });
  return { root, repo };
}

/** The user's git gets its credentials from a helper that knows one. */
function withHelper(username: string, password: string): void {
  const config = join(tempDir("config"), "config");
  const helper = `!f() { echo username=${username}; echo password=${password}; }; f`;
  writeFileSync(config, `[credential]\n\thelper = "${helper}"\n`);
  process.env.GIT_CONFIG_GLOBAL = config;
}

const saved = { ...process.env };
afterEach(() => {
  for (const key of Object.keys(process.env)) if (!(key in saved)) delete process.env[key];
  Object.assign(process.env, saved);
});

describe("http", () => {
  it.each([[], ["--object-format=sha256"]])("a first copy and the next one %s", async (...init) => {
    const { root, repo } = served(...init);
    await using server = await startGitHttp(root);
    const target = tempDir("out");
    await run(`${server.url}/r`, target);
    await expectMirrors(repo, target);
    addCommit(repo, "new", "new\n");
    server.seen.splice(0);
    expect(await run(`${server.url}/r`, target)).toMatchObject({ objects: 3 });
    await expectMirrors(repo, target);
    expect(server.seen.length).toBe(3);
    expect(await run(`${server.url}/r`, target)).toMatchObject({ changed: false });
  });

  it("passwords of the URL and of a credential helper, which are written nowhere", async () => {
    const { root, repo } = served();
    await using server = await startGitHttp(root, { basicAuth: "alice:sesame" });
    const target = tempDir("out");
    const plain = `${server.url}/r`;
    await expect(run(plain, target)).rejects.toMatchObject({ code: "denied" });
    await expect(run(plain.replace("://", "://alice:wrong@"), target)).rejects.toSatisfy(
      (error: Error) => !error.message.includes("wrong"),
    );
    const done = await run(plain.replace("://", "://alice:sesame@"), target);
    expect(done.source).toBe(plain);
    expect(readFileSync(join(target, "git-odb/mirror"), "utf8")).not.toContain("sesame");
    withHelper("alice", "sesame");
    addCommit(repo, "new", "new\n");
    expect(await run(plain, target)).toMatchObject({ changed: true });
    await expectMirrors(repo, target);
  });

  it("a redirect", async () => {
    const { root, repo } = served();
    await using server = await startGitHttp(root);
    const redirect = createServer((request, response) => {
      response.writeHead(302, { location: server.url + (request.url ?? "").replace("/old", "/r") }).end();
    });
    await new Promise<void>((done) => redirect.listen(0, "127.0.0.1", done));
    const { port } = redirect.address() as AddressInfo;
    const target = tempDir("out");
    await run(`http://127.0.0.1:${port}/old`, target);
    await expectMirrors(repo, target);
    redirect.closeAllConnections();
    redirect.close();
  });

  it("a server without the repository, one that is no git server, none at all: a line each", async () => {
    await using server = await startGitHttp(tempDir("root"));
    await expect(run(`${server.url}/none`, tempDir("out"))).rejects.toMatchObject({ code: "config" });
    const page = createServer((_, response) => void response.end("<h1>welcome</h1>"));
    await new Promise<void>((done) => page.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}/r`;
    await expect(run(url, tempDir("out"))).rejects.toThrow(url);
    page.closeAllConnections();
    await new Promise((done) => page.close(done));
    await expect(run(url, tempDir("out"))).rejects.toMatchObject({
      code: "unavailable",
      message: /^[^\n]+$/,
    });
  });

  it.each([
    ["dies in the middle of the pack", { kind: "reset", afterBytes: 2000 }],
    ["ends its answer early, in good order", { kind: "short", afterBytes: 2000 }],
    ["sends a byte of the pack wrong", { kind: "corrupt", at: 2500 }],
  ] as const)("a source that %s: an error, and the mirror stays", async (_, fault) => {
    const { root, repo } = served();
    await using server = await startGitHttp(root);
    await using proxy = await startFaultyProxy(server.url);
    const target = tempDir("out");
    await run(`${proxy.url}/r`, target);
    const before = stateOf(repo);
    addCommit(repo, "new", Array.from({ length: 2000 }, () => Math.random()).join("\n"));
    // The first POST asks for the refs, the second for the pack.
    proxy.add({ method: "POST", nth: 2, fault });
    await expect(run(`${proxy.url}/r`, target)).rejects.toMatchObject({
      code: expect.stringMatching(/unavailable|integrity|protocol/),
      message: expect.stringContaining(proxy.url),
    });
    expect(stateOf(await cloneMirror(target))).toEqual(before);
    await run(`${proxy.url}/r`, target);
    await expectMirrors(repo, target);
  });
});

describe("an update takes only what is new", () => {
  it.each(["a path", "http"])(
    "after a push, a forced one, and one whose old commits are gone: %s",
    async (kind) => {
      const { root, repo } = served();
      await using server = await startGitHttp(root);
      for (const name of git(["for-each-ref", "--format=%(refname)"], { cwd: repo }).split("\n")) {
        if (name !== "refs/heads/main") git(["update-ref", "-d", name], { cwd: repo });
      }
      addCommit(repo, "noise", Array.from({ length: 20_000 }, () => Math.random()).join("\n"));
      for (let n = 0; n < 5; n++) addCommit(repo, "text", `${n}\n`);
      const target = tempDir("out");
      const update = async (options: MirrorOptions = {}) => {
        let received = 0;
        const onEvent = (event: MirrorEvent) => {
          if (event.event === "receive") received += event.bytes;
        };
        server.seen.splice(0);
        const { objects } = await run(kind === "http" ? `${server.url}/r` : repo, target, {
          ...options,
          onEvent,
        });
        await expectMirrors(repo, target);
        return { objects, received };
      };
      expect((await update()).received).toBeGreaterThan(100_000);
      addCommit(repo, "new", "new\n");
      const pushed = await update();
      expect(pushed.objects).toBe(3);
      expect(pushed.received).toBeLessThan(1000);
      // Refs and pack, and what git's transport asks first: nothing more to agree on.
      if (kind === "http") expect(server.seen.length).toBe(3);
      git(["reset", "-q", "--hard", "HEAD~3"], { cwd: repo });
      addCommit(repo, "new", "other\n");
      const forced = await update({ stream: true });
      expect(forced.objects).toBe(3);
      expect(forced.received).toBeLessThan(1000);
      git(["reset", "-q", "--hard", "HEAD~2"], { cwd: repo });
      addCommit(repo, "new", "third\n");
      git(["reflog", "expire", "--expire=now", "--all"], { cwd: repo });
      git(["gc", "-q", "--prune=now"], { cwd: repo });
      const gone = await update();
      expect(gone.objects).toBe(3);
      expect(gone.received).toBeLessThan(1000);
      if (kind === "http") expect(server.seen.length).toBe(4);
    },
  );
});

/** What a server does that hands the protocol's version on to nobody. */
const old = { env: { GIT_PROTOCOL: "" } };

describe("http, version 0", () => {
  it.each([
    ["sha1", [], old],
    ["sha256", ["--object-format=sha256"], old],
    ["version 1", [], { env: { GIT_PROTOCOL: "version=1" } }],
  ])("a first copy and the next one: %s", async (_, init, options) => {
    const { root, repo } = served(...init);
    await using server = await startGitHttp(root, options);
    const target = tempDir("out");
    await run(`${server.url}/r`, target);
    await expectMirrors(repo, target);
    addCommit(repo, "new", "new\n");
    git(["tag", "-am", "two", "v2"], { cwd: repo });
    server.seen.splice(0);
    expect(await run(`${server.url}/r`, target)).toMatchObject({ objects: 4 });
    await expectMirrors(repo, target);
    // git finds out what is spoken there; then the refs, and the pack.
    expect(server.seen).toEqual([
      "GET /r/info/refs?service=git-upload-pack",
      "GET /r/info/refs?service=git-upload-pack",
      "POST /r/git-upload-pack",
    ]);
    expect(await run(`${server.url}/r`, target)).toMatchObject({ changed: false });
  });

  it("of an empty, a detached and a shallow repository", async () => {
    const root = tempDir("root");
    git(["init", "-q", "--bare", join(root, "empty")]);
    const detached = sampleRepo();
    git(["checkout", "-q", "--detach", "HEAD~1"], { cwd: detached });
    cpSync(detached, join(root, "detached"), { recursive: true });
    git(["clone", "-q", "--depth=1", `file://${detached}`, join(root, "shallow")]);
    await using server = await startGitHttp(root, old);
    expect(await run(`${server.url}/empty`, tempDir("out"))).toMatchObject({ refs: 0 });
    const target = tempDir("out");
    await run(`${server.url}/detached`, target);
    await expectMirrors(detached, target);
    await expect(run(`${server.url}/shallow`, tempDir("out"))).rejects.toMatchObject({ code: "unsupported" });
  });

  it("passwords of the URL and of a credential helper, and a redirect to another server", async () => {
    const { root, repo } = served();
    await using server = await startGitHttp(root, { ...old, basicAuth: "alice:sesame" });
    const seen: string[] = [];
    const redirect = createServer(({ url = "", headers }, response) => {
      seen.push(headers.authorization ?? "");
      response.writeHead(302, { location: server.url + url.replace("/old", "/r") }).end();
    });
    await new Promise<void>((done) => redirect.listen(0, "127.0.0.1", done));
    const moved = `http://127.0.0.1:${(redirect.address() as AddressInfo).port}/old`;
    const target = tempDir("out");
    const plain = `${server.url}/r`;
    expect((await run(plain.replace("://", "://alice:sesame@"), target)).source).toBe(plain);
    await expectMirrors(repo, target);
    await expect(run(plain.replace("://", "://alice:wrong@"), tempDir("out"))).rejects.toSatisfy(
      (error: Error) => !error.message.includes("wrong"),
    );
    withHelper("alice", "sesame");
    const credentials = gitCredentials();
    for (const url of [plain, moved]) {
      const other = tempDir("out");
      await run(url, other, { credentials });
      await expectMirrors(repo, other);
    }
    // The password is for the server behind the redirect.
    expect(new Set(seen)).toEqual(new Set([""]));
    redirect.closeAllConnections();
    redirect.close();
  });

  it("a source that dies in the middle of the pack: an error, and the mirror stays", async () => {
    const { root, repo } = served();
    await using server = await startGitHttp(root, old);
    await using proxy = await startFaultyProxy(server.url);
    const target = tempDir("out");
    await run(`${proxy.url}/r`, target);
    const before = stateOf(repo);
    addCommit(repo, "new", Array.from({ length: 2000 }, () => Math.random()).join("\n"));
    for (const fault of [
      { kind: "reset", afterBytes: 2000 },
      { kind: "status", status: 500 },
    ] as const) {
      proxy.add({ method: "POST", fault });
      await expect(run(`${proxy.url}/r`, target)).rejects.toMatchObject({
        code: expect.stringMatching(/unavailable|integrity/),
        message: expect.stringMatching(`^[^\n]*${proxy.url}[^\n]*$`),
      });
      proxy.clear();
      expect(stateOf(await cloneMirror(target))).toEqual(before);
    }
    await run(`${proxy.url}/r`, target);
    await expectMirrors(repo, target);
  });

  it("a plain web server with a repository: one line that says what to do", async () => {
    const { root, repo } = served();
    git(["update-server-info"], { cwd: repo });
    await using server = await startStaticServer(join(root, "r/.git"));
    await expect(run(server.url, tempDir("out"))).rejects.toMatchObject({
      code: "unsupported",
      message: `${server.url} is served by git's dumb HTTP protocol, and not by a git server: "git clone --mirror" it, and mirror the clone`,
    });
  });
});

/** A program for GIT_SSH_COMMAND that runs the command here, and notes its arguments. */
function fakeSsh(folder: string, environment: string): string {
  const script = join(folder, "ssh");
  const run = `${environment} sh -c "$last"`;
  writeFileSync(script, `#!/bin/sh\nprintf '%s\\n' "$@" >>'${folder}/seen'\nfor last; do :; done\n${run}\n`);
  chmodSync(script, 0o755);
  return script;
}

describe("ssh", () => {
  it.each([
    ["hands the protocol's version on", ""],
    ["does not: version 0", "env -u GIT_PROTOCOL"],
    ["speaks version 1", "env GIT_PROTOCOL=version=1"],
  ])("a server that %s", async (_, environment) => {
    const { repo } = served();
    const folder = tempDir("ssh");
    process.env.GIT_SSH_COMMAND = `'${fakeSsh(folder, environment)}'`;
    const target = tempDir("out");
    await run(`ssh://alice@host:2222${repo}`, target);
    await expectMirrors(repo, target);
    expect(readFileSync(join(folder, "seen"), "utf8").split("\n").slice(0, 6)).toEqual([
      "-p",
      "2222",
      "-o",
      "SendEnv=GIT_PROTOCOL",
      "alice@host",
      `git-upload-pack '${repo}'`,
    ]);
    addCommit(repo, "new", "new\n");
    git(["tag", "-am", "two", "v2"], { cwd: repo });
    expect(await run(`ssh://alice@host:2222${repo}`, target)).toMatchObject({ objects: 4 });
    await expectMirrors(repo, target);
  });

  it("version 0 of an empty, a shallow, a detached and a SHA-256 repository", async () => {
    process.env.GIT_SSH_COMMAND = `'${fakeSsh(tempDir("ssh"), "env -u GIT_PROTOCOL")}'`;
    const empty = tempDir("empty");
    git(["init", "-q", "--bare", empty]);
    expect(await run(`host:${empty}`, tempDir("out"))).toMatchObject({ refs: 0 });
    const shallow = join(tempDir("shallow"), "s");
    git(["clone", "-q", "--depth=1", `file://${sampleRepo()}`, shallow]);
    await expect(run(`host:${shallow}`, tempDir("out"))).rejects.toMatchObject({ code: "unsupported" });
    const detached = sampleRepo();
    git(["checkout", "-q", "--detach", "HEAD~1"], { cwd: detached });
    for (const repo of [detached, sampleRepo("--object-format=sha256")]) {
      const target = tempDir("out");
      await run(`host:${repo}`, target);
      await expectMirrors(repo, target);
    }
  });

  it("a path with quotes is one argument there, and an unreachable host is a line", async () => {
    const folder = join(tempDir("odd"), "it's $(touch x) !");
    cpSync(sampleRepo(), folder, { recursive: true });
    process.env.GIT_SSH_COMMAND = `'${fakeSsh(tempDir("ssh"), "")}'`;
    const target = tempDir("out");
    await run(`host:${folder}`, target);
    await expectMirrors(folder, target);
    process.env.GIT_SSH_COMMAND = "echo 'ssh: connect to host host: refused' >&2; false";
    await expect(run("host:r", tempDir("out"))).rejects.toMatchObject({
      code: "unavailable",
      message: "host:r: ssh: connect to host host: refused",
    });
  });
});

describe("git and file", () => {
  let daemon: ChildProcess | undefined;
  afterEach(() => void daemon?.kill());

  /** @returns its port */
  async function startDaemon(root: string): Promise<number> {
    const port = await freePort();
    daemon = spawn(
      "git",
      ["daemon", "--export-all", `--base-path=${root}`, "--listen=127.0.0.1", `--port=${port}`, root],
      { stdio: "ignore" },
    );
    await listening(port);
    return port;
  }

  it("a git daemon", async () => {
    const { root, repo } = served();
    const port = await startDaemon(root);
    const target = tempDir("out");
    await run(`git://127.0.0.1:${port}/r`, target);
    await expectMirrors(repo, target);
    addCommit(repo, "new", "new\n");
    expect(await run(`git://127.0.0.1:${port}/r`, target)).toMatchObject({ objects: 3 });
    await expect(run(`git://127.0.0.1:${port}/none`, tempDir("out"))).rejects.toThrow(/git:\/\/127/);
  });

  it("a git daemon that does not know of the protocol's versions", async () => {
    const { root, repo } = served();
    const port = await startDaemon(root);
    const front = createTcpServer((socket) => {
      const behind = connect(port, "127.0.0.1");
      // The request is one packet: what stands behind the host is for newer servers (gitprotocol-pack(5)).
      socket.once("data", (request: Buffer) => {
        const text = request.toString("latin1", 4).replace("\0\0version=2\0", "\0");
        behind.write((text.length + 4).toString(16).padStart(4, "0") + text, "latin1");
        socket.pipe(behind).pipe(socket);
      });
      for (const each of [socket, behind]) each.on("error", () => {});
      socket.on("close", () => behind.destroy());
    });
    await new Promise<void>((done) => front.listen(0, "127.0.0.1", done));
    const url = `git://127.0.0.1:${(front.address() as AddressInfo).port}/r`;
    const target = tempDir("out");
    await run(url, target);
    addCommit(repo, "new", "new\n");
    expect(await run(url, target)).toMatchObject({ objects: 3 });
    await expectMirrors(repo, target);
    front.close();
  });

  it("file URLs, and relative paths, which stand for the same source everywhere", async () => {
    const { root, repo } = served();
    const target = tempDir("out");
    await run(`file://${repo}`, target);
    await expectMirrors(repo, target);
    const other = tempDir("out");
    const before = process.cwd();
    await run(repo, other);
    try {
      process.chdir(root);
      expect(await run("./r", other)).toMatchObject({ changed: false, source: repo });
    } finally {
      process.chdir(before);
    }
    expect(dirname(repo)).toBe(root);
  });
});

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const socket = connect(port, "127.0.0.1");
    const up = await new Promise<boolean>((done) => {
      socket.once("connect", () => done(true));
      socket.once("error", () => done(false));
    });
    socket.destroy();
    if (up) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`nothing listens on port ${port}`);
}
