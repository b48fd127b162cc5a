/** `git odb serve` as a process, and the other verbs against it and against a plain web server. */

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { startAnyS3 } from "./support/any-s3.js";
import { cliEnv, gitOdb, startOdb } from "./support/cli.js";
import { git, spawnGit, tempRepo } from "./support/git.js";
import { startStaticServer } from "./support/static-server.js";
import { tempDir } from "./support/temp.js";
import { lacks } from "./support/tools.js";

const running: { kill(signal: "SIGKILL"): boolean }[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

/** Starts `git odb serve <args>` and waits for its URL. */
async function serve(...args: string[]) {
  const child = startOdb(["serve", "--port=0", ...args]);
  running.push(child);
  let log = "";
  child.stderr.on("data", (chunk) => {
    log += chunk;
  });
  const exit = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    once(lines, "line").then(([text]) => String(text)),
    exit.then(() => undefined),
  ]);
  if (line === undefined) throw new Error(`serve ended: ${log}`);
  return { child, url: line, exit, log: () => log };
}

function repoWithFile(): { repo: string; oid: string } {
  const repo = tempRepo();
  writeFileSync(join(repo, ".gitattributes"), "*.bin odb=big\n");
  writeFileSync(join(repo, "a.bin"), "content");
  git(["add", "-A"], { cwd: repo });
  return { repo, oid: git(["rev-parse", ":a.bin"], { cwd: repo }) };
}

describe("git odb serve", () => {
  it("serves a store that other repositories put to and get from, and ends with 130 when interrupted", async () => {
    const store = tempDir("store");
    const server = await serve(store);
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const { repo, oid } = repoWithFile();
    expect(gitOdb(["init", "-q", "big", server.url], { cwd: repo })).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
    expect(JSON.parse(readFileSync(join(store, "git-odb.json"), "utf8")).hash).toBe("sha1");
    expect(git(["config", "odb.big.subprocessCommand"], { cwd: repo })).toBe(
      "git-odb-helper-http --name big",
    );
    expect(gitOdb(["put", "big", "a.bin"], { cwd: repo }).stdout).toBe(`${oid} 7 blob\n`);
    rmSync(join(repo, ".git/objects", oid.slice(0, 2)), { recursive: true });
    expect(gitOdb(["status", "--porcelain"], { cwd: repo }).stdout).toBe(`stored -S- big ${oid} 7 a.bin\n`);
    expect(gitOdb(["get", "big", "a.bin"], { cwd: repo }).status).toBe(0);
    expect(git(["cat-file", "blob", oid], { cwd: repo })).toBe("content");
    expect(gitOdb(["fsck", "--store", "-q"], { cwd: repo })).toEqual({ status: 0, stdout: "", stderr: "" });
    server.child.kill("SIGINT");
    expect(await server.exit).toEqual([130, null]);
    expect(server.log()).toMatch(/^127\.0\.0\.1 PUT \/objects\/.* 20\d \d+ ms$/m);
  });

  it("asks for a token or a password, which git credential gives", async () => {
    const tokens = join(tempDir(), "tokens");
    writeFileSync(tokens, "# mine\nhunter2\n");
    const users = join(tempDir(), "users");
    writeFileSync(users, "me:hunter3\n");
    const server = await serve("-q", "--token-file", tokens, "--basic-file", users, tempDir("store"));
    const { repo } = repoWithFile();
    const refused = gitOdb(["init", "big", server.url], { cwd: repo });
    expect([refused.status, refused.stderr]).toEqual([
      128,
      expect.stringMatching(/^fatal: [^\n]*(401|credential)[^\n]*\n$/),
    ]);
    for (const password of ["hunter2", "hunter3"]) {
      const helper = `!f() { test $1 != get || printf 'username=me\\npassword=${password}\\n'; }; f`;
      git(["config", "credential.helper", helper], { cwd: repo });
      expect(gitOdb(["init", "-q", "big", server.url], { cwd: repo })).toEqual({
        status: 0,
        stdout: "",
        stderr: "",
      });
      expect(gitOdb(["put", "-q", "big", "a.bin"], { cwd: repo })).toEqual({
        status: 0,
        stdout: "",
        stderr: "",
      });
    }
    expect(readFileSync(join(repo, ".git/config"), "utf8").match(/hunter/g)).toHaveLength(1);
    expect(server.log()).toBe("");
  });

  it.skipIf(lacks("openssl"))("serves https", async () => {
    const folder = tempDir();
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync("openssl", [...request, "-keyout", key, "-out", cert, ...subject], { stdio: "pipe" });
    const server = await serve("--tls-key", key, "--tls-cert", cert, tempDir("store"));
    expect(server.url).toMatch(/^https:/);
    const { repo, oid } = repoWithFile();
    const env = { NODE_EXTRA_CA_CERTS: cert };
    expect(gitOdb(["init", "-q", "big", server.url], { cwd: repo, env }).stderr).toBe("");
    expect(gitOdb(["put", "big", "a.bin"], { cwd: repo, env }).stdout).toBe(`${oid} 7 blob\n`);
  });

  it("refuses what is not safe, in one line", () => {
    const folder = tempDir();
    const empty = join(folder, "empty");
    writeFileSync(empty, "# nothing\n");
    const cases: [string[], number, RegExp][] = [
      [["--listen=0.0.0.0", folder], 128, /0\.0\.0\.0.*needs credentials/],
      [["--allow-delete", folder], 128, /needs credentials/],
      [["--port=x", folder], 129, /--port=x: expected a number/],
      [["--tls-key", empty, folder], 129, /both --tls-key and --tls-cert/],
      [["--token-file", join(folder, "none"), folder], 128, /none: no such file/],
      [["--token-file", empty, folder], 128, /no credential in it/],
      [["gopher://x"], 129, /expected a path/],
    ];
    for (const [args, status, message] of cases) {
      const done = gitOdb(["serve", "--port=0", ...args]);
      expect([args, done.status, done.stderr]).toEqual([
        args,
        status,
        expect.stringMatching(/^fatal: [^\n]*\n$/),
      ]);
      expect(done.stderr).toMatch(message);
    }
  });

  it("changes nothing with --read-only, and init says so", async () => {
    const store = tempDir("store");
    const { repo } = repoWithFile();
    const server = await serve("--read-only", store);
    const done = gitOdb(["init", "big", server.url], { cwd: repo });
    expect([done.status, done.stderr]).toEqual([0, expect.stringMatching(/it is read only/)]);
    expect(existsSync(join(store, "git-odb.json"))).toBe(false);
    const put = gitOdb(["put", "big", "a.bin"], { cwd: repo });
    expect([put.status, put.stdout, put.stderr]).toEqual([
      128,
      "",
      expect.stringMatching(/^fatal: [^\n]*\n$/),
    ]);
    expect(gitOdb(["status", "--porcelain"], { cwd: repo }).stdout).toMatch(/^local L--/);
  });
});

describe("over HTTP", () => {
  it("reads a plain web server with a bare repository on it", async () => {
    const root = tempDir("www");
    const bare = join(root, "repo.git");
    git(["init", "-q", "--bare", bare]);
    const { repo, oid } = repoWithFile();
    git(["hash-object", "-w", "--stdin"], { cwd: bare, input: "content" });
    await using server = await startStaticServer(root);
    const url = `${server.url}/repo.git`;
    const init = await spawnOdb(["init", "-q", "big", url], repo);
    expect(init).toEqual({ status: 0, stdout: "", stderr: "" });
    expect((await spawnOdb(["get", "big", "--stdout", oid], repo)).stdout).toBe("content");
  });

  it("says which store is unreachable, and configures nothing", async () => {
    const { repo } = repoWithFile();
    const closed = createServer();
    closed.listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, "close");
    const url = `http://127.0.0.1:${port}`;
    const done = gitOdb(["init", "big", url], { cwd: repo });
    expect([done.status, done.stdout]).toEqual([128, ""]);
    expect(done.stderr).toMatch(new RegExp(`^fatal: [^\\n]*127\\.0\\.0\\.1:${port}[^\\n]*\\n$`));
    expect(readFileSync(join(repo, ".git/config"), "utf8")).not.toContain("odb");
    expect(gitOdb(["init", "-q", "--no-check", "big", url], { cwd: repo }).status).toBe(0);
    expect(gitOdb(["status"], { cwd: repo }).stdout).toContain("1 local only");
  });

  it("stops at SIGINT, exit 130, with nothing half done", async () => {
    const { repo, oid } = repoWithFile();
    let asked: () => void;
    const request = new Promise<void>((resolve) => {
      asked = resolve;
    });
    // Never answers.
    const silent = createServer(() => asked());
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    gitOdb(["init", "-q", "--no-check", "big", url], { cwd: repo });
    const child = startOdb(["put", "big", "a.bin"], { cwd: repo });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    await request;
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([130, null]);
    expect(output).toBe("");
    expect(git(["for-each-ref", "refs/odbs"], { cwd: repo })).toBe("");
    expect(git(["cat-file", "blob", oid], { cwd: repo })).toBe("content");
    silent.closeAllConnections();
    silent.close();
  });
});

describe("over S3", () => {
  it("does all of it in a bucket, and says what is denied or not there", async () => {
    const s3 = await startAnyS3();
    try {
      const { repo, oid } = repoWithFile();
      const url = s3.url("cli");
      expect(gitOdb(["init", "-q", "big", url], { cwd: repo })).toEqual({
        status: 0,
        stdout: "",
        stderr: "",
      });
      expect(git(["config", "odb.big.subprocessCommand"], { cwd: repo })).toBe(
        "git-odb-helper-s3 --name big",
      );
      expect(gitOdb(["put", "big", "a.bin"], { cwd: repo })).toEqual({
        status: 0,
        stdout: `${oid} 7 blob\n`,
        stderr: "",
      });
      rmSync(join(repo, ".git/objects", oid.slice(0, 2)), { recursive: true });
      expect(gitOdb(["get", "-q", "big", "a.bin"], { cwd: repo }).status).toBe(0);
      expect(git(["cat-file", "blob", oid], { cwd: repo })).toBe("content");
      expect(gitOdb(["fsck", "--store", "-q"], { cwd: repo })).toEqual({ status: 0, stdout: "", stderr: "" });
      const wrong = { AWS_SECRET_ACCESS_KEY: "hunter2" };
      const denied = gitOdb(["ls", "--store", "big"], { cwd: repo, env: wrong });
      expect([denied.status, denied.stderr]).toEqual([
        128,
        expect.stringMatching(/^fatal: [^\n]*s3:[^\n]*\n$/),
      ]);
      expect(denied.stderr).not.toContain("hunter2");
      const nowhere = url.replace(/^s3:\/\/[^/?]*/, "s3://no-such-bucket");
      const gone = gitOdb(["init", "other", nowhere], { cwd: repo });
      expect([gone.status, gone.stderr]).toEqual([
        128,
        expect.stringMatching(/^fatal: [^\n]*no-such-bucket[^\n]*\n$/),
      ]);
    } finally {
      await s3.close();
    }
  });
});

/** As gitOdb, without holding up a server in this process. */
async function spawnOdb(args: readonly string[], cwd: string) {
  return await spawnGit(["odb", ...args], { cwd, env: cliEnv() });
}
