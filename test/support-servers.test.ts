import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FaultyProxy, startFaultyProxy } from "./support/faulty-proxy.js";
import { git, spawnGit, tempRepo } from "./support/git.js";
import { startGitHttp } from "./support/git-http.js";
import { startStaticServer } from "./support/static-server.js";
import { tempDir } from "./support/temp.js";

/** A bare repository with one commit in `<root>/repo.git`. */
function bareRepository(root: string): string {
  const work = tempRepo();
  writeFileSync(join(work, "file"), "content\n");
  git(["add", "file"], { cwd: work });
  git(["commit", "-qm", "one"], { cwd: work });
  const bare = join(root, "repo.git");
  git(["clone", "-q", "--bare", work, bare]);
  git(["update-server-info"], { cwd: bare });
  return bare;
}

describe("git-http", () => {
  test("clones and pushes by the smart protocol, with a password", async () => {
    const root = tempDir("root");
    const bare = bareRepository(root);
    await using server = await startGitHttp(root, { basicAuth: "alice:secret" });
    const { host } = new URL(server.url);
    const anonymous = await spawnGit(["ls-remote", `${server.url}/repo.git`]);
    expect(anonymous).toMatchObject({
      status: 128,
      stderr: expect.stringContaining("could not read Username"),
    });
    const clone = join(tempDir("clone"), "c");
    const url = `http://alice:secret@${host}/repo.git`;
    expect(await spawnGit(["clone", "-q", url, clone])).toMatchObject({ status: 0 });
    git(["commit", "-q", "--allow-empty", "-m", "two"], { cwd: clone });
    expect(await spawnGit(["push", "-q", "origin", "main"], { cwd: clone })).toMatchObject({ status: 0 });
    expect(git(["rev-parse", "main"], { cwd: bare })).toBe(git(["rev-parse", "HEAD"], { cwd: clone }));
    expect(server.seen.some((line) => line.includes("service=git-upload-pack"))).toBe(true);
  });
});

describe("static-server", () => {
  test("stock git clones a bare repository by the dumb protocol", async () => {
    const root = tempDir("root");
    bareRepository(root);
    await using server = await startStaticServer(root);
    const clone = join(tempDir("clone"), "c");
    expect(await spawnGit(["clone", "-q", `${server.url}/repo.git`, clone])).toMatchObject({ status: 0 });
    expect(git(["fsck", "--strict"], { cwd: clone })).toBe("");
  });

  test("gives ranges, and everything when it is told to know none", async () => {
    const root = tempDir("root");
    mkdirSync(join(root, "d"));
    writeFileSync(join(root, "d/a b"), "0123456789");
    await using server = await startStaticServer(root);
    const get = (range: string) => fetch(`${server.url}/d/a%20b`, { headers: { range } });
    const part = await get("bytes=2-4");
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([
      206,
      "bytes 2-4/10",
      "234",
    ]);
    expect((await get("bytes=10-")).status).toBe(416);
    await using plain = await startStaticServer(root, { noRanges: true });
    const whole = await fetch(`${plain.url}/d/a%20b`, { headers: { range: "bytes=2-4" } });
    expect([whole.status, await whole.text()]).toEqual([200, "0123456789"]);
    expect((await fetch(`${server.url}/none`)).status).toBe(404);
    expect((await fetch(`${server.url}/d/a%20b`, { method: "PUT", body: "x" })).status).toBe(405);
  });
});

describe("faulty-proxy", () => {
  const received: string[] = [];
  const upstream = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => {});
    request.on("end", () => {
      received.push(Buffer.concat(chunks).toString("latin1"));
      response.writeHead(200, { "content-length": 10, "x-host": request.headers.host }).end("0123456789");
    });
  });
  let proxy: FaultyProxy;

  beforeAll(async () => {
    await new Promise<void>((done) => upstream.listen(0, "127.0.0.1", done));
    proxy = await startFaultyProxy(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  });
  beforeEach(() => {
    proxy.clear();
    proxy.seen.length = 0;
    received.length = 0;
  });
  afterAll(async () => {
    await proxy.close();
    upstream.close();
  });

  const get = async (path = "/") => (await fetch(`${proxy.url}${path}`)).text();

  test("passes requests and answers through", async () => {
    const answer = await fetch(`${proxy.url}/a?b`, { method: "PUT", body: "body" });
    expect([answer.status, answer.headers.get("x-host"), await answer.text()]).toEqual([
      200,
      new URL(proxy.url).host,
      "0123456789",
    ]);
    expect(received).toEqual(["body"]);
    expect(proxy.seen).toMatchObject([{ method: "PUT", path: "/a?b", fault: undefined }]);
  });

  test("strikes the nth matching request, so many times", async () => {
    proxy.add({
      path: /^\/x/,
      nth: 2,
      times: 2,
      fault: { kind: "status", status: 503, headers: { "retry-after": "7" } },
    });
    const seen: number[] = [];
    for (const path of ["/x", "/y", "/x", "/x", "/x"]) {
      const answer = await fetch(`${proxy.url}${path}`);
      seen.push(answer.status);
      if (answer.status === 503) expect(answer.headers.get("retry-after")).toBe("7");
      await answer.text();
    }
    expect(seen).toEqual([200, 200, 503, 503, 200]);
    expect(received.length).toBe(3);
  });

  test("resets before, in and instead of the answer", async () => {
    proxy.add({ fault: { kind: "reset" } });
    await expect(get()).rejects.toThrow();
    expect(received).toEqual([]);
    proxy.add({ fault: { kind: "reset", afterBytes: 4 } });
    const answer = await fetch(`${proxy.url}/`);
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
    proxy.add({ fault: { kind: "lose-answer" } });
    await expect(fetch(`${proxy.url}/`, { method: "PUT", body: "kept" })).rejects.toThrow();
    expect(received.at(-1)).toBe("kept");
  });

  test("cuts an upload", async () => {
    proxy.add({ fault: { kind: "reset-upload", afterBytes: 100_000 } });
    const body = "x".repeat(1_000_000);
    await expect(fetch(`${proxy.url}/`, { method: "PUT", body })).rejects.toThrow();
    expect(received).toEqual([]);
  });

  test("truncates openly, shortens silently, changes bytes either way", async () => {
    proxy.add({ fault: { kind: "truncate", afterBytes: 4 } });
    await expect(get()).rejects.toThrow();
    proxy.add({ fault: { kind: "short", afterBytes: 4 } });
    expect(await get()).toBe("0123");
    proxy.add({ fault: { kind: "corrupt", at: 3 } });
    const bytes = Buffer.from(await (await fetch(`${proxy.url}/`)).arrayBuffer());
    expect(bytes.toString("latin1")).toBe(`012${String.fromCharCode(0x33 ^ 0xff)}456789`);
    proxy.add({ fault: { kind: "corrupt-upload" } });
    await (await fetch(`${proxy.url}/`, { method: "PUT", body: "abc" })).text();
    expect(received.at(-1)).toBe(`${String.fromCharCode(0x61 ^ 0xff)}bc`);
  });

  test("hangs until the client gives up, and delays", async () => {
    proxy.add({ fault: { kind: "hang" } });
    await expect(fetch(`${proxy.url}/`, { signal: AbortSignal.timeout(50) })).rejects.toThrow();
    proxy.add({ fault: { kind: "delay", ms: 30 } });
    expect(await get()).toBe("0123456789");
    expect(proxy.seen.map(({ fault }) => fault)).toEqual(["hang", "delay"]);
  });
});
