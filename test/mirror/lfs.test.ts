/** LFS objects of mirrors: copied and verified, and handed to git-lfs by `git odb serve`. */

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import type { CredentialProvider } from "../../src/bucket/options.js";
import type { OdbError } from "../../src/errors.js";
import { lfsUrlOf } from "../../src/mirror/lfs-client.js";
import { parsePointer } from "../../src/mirror/lfs-pointer.js";
import type { MirrorOptions } from "../../src/mirror/options.js";
import { collect, contentOf } from "../../src/object/content.js";
import { serveBucket } from "../../src/serve/server.js";
import { startAnyS3 } from "../support/any-s3.js";
import { startFront } from "../support/front.js";
import { git, spawnGit, tempRepo } from "../support/git.js";
import { startGitHttp } from "../support/git-http.js";
import { startLfsServer } from "../support/lfs-server.js";
import { addCommit, cloneMirror, expectMirrors, filesWith, run, stateOf } from "../support/mirror.js";
import type { S3Server } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";
import { lacks } from "../support/tools.js";

let s3: S3Server;
beforeAll(async () => {
  s3 = await startAnyS3();
});
afterAll(() => s3.close());

const oidOf = (content: Buffer) => createHash("sha256").update(content).digest("hex");

async function readKey(target: string, content: Buffer): Promise<Buffer> {
  const oid = oidOf(content);
  const bucket = await openBucket(target);
  const body = await bucket.read(`lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`);
  const bytes = await collect(body?.content ?? contentOf(), 1 << 28);
  await bucket.close();
  return bytes;
}

const small = Buffer.from("a small one\n");
const large = randomBytes(3_000_000);

describe("the copy", () => {
  it.each([
    ["file", false],
    ["s3", false],
    ["s3", true],
  ])("to %s, --stream %s: each object once, those that are there skipped", async (kind, stream) => {
    await using lfs = await startLfsServer();
    const source = tempRepo();
    addCommit(source, "small.bin", lfs.add(small));
    addCommit(source, "large.bin", lfs.add(large));
    addCommit(source, "again.bin", lfs.add(small));
    const target = kind === "file" ? tempDir("out") : s3.url(`lfs-${stream}`);
    const options = { lfs: lfs.url, stream };
    expect((await run(source, target, options)).lfs).toEqual({
      copied: 2,
      bytes: small.length + large.length,
      missing: 0,
    });
    for (const content of [small, large]) expect((await readKey(target, content)).equals(content)).toBe(true);
    await expectMirrors(source, target);
    lfs.seen.splice(0);
    addCommit(source, "third.bin", lfs.add(small));
    addCommit(source, "fourth.bin", lfs.add(Buffer.from("new")));
    expect((await run(source, target, { ...options, force: true })).lfs.copied).toBe(1);
    expect(lfs.seen.filter((line) => line.startsWith("GET")).length).toBe(1);
  });

  it.each(["wrong", "long", "short"] as const)(
    "of %s bytes: an error, nothing published, nothing kept",
    async (fault) => {
      await using lfs = await startLfsServer();
      const source = tempRepo();
      addCommit(source, "plain", "plain\n");
      const target = s3.url(`lfs-${fault}`);
      await run(source, target, { lfs: lfs.url });
      const before = stateOf(source);
      addCommit(source, "small.bin", lfs.add(small));
      addCommit(source, "large.bin", lfs.add(large));
      lfs.fault = fault;
      await expect(run(source, target, { lfs: lfs.url })).rejects.toMatchObject({
        code: "integrity",
        message: /LFS object [0-9a-f]{64}/,
      });
      expect(stateOf(await cloneMirror(target))).toEqual(before);
      for (const content of [small, large]) expect((await readKey(target, content)).length).toBe(0);
      lfs.fault = "none";
      expect((await run(source, target, { lfs: lfs.url })).lfs.copied).toBe(2);
      await expectMirrors(source, target);
    },
  );

  it("counts what the server does not have, and what no server is known for", async () => {
    await using lfs = await startLfsServer();
    const source = tempRepo();
    addCommit(source, "small.bin", lfs.add(small));
    lfs.fault = "missing";
    expect((await run(source, tempDir("out"), { lfs: lfs.url })).lfs).toEqual({
      copied: 0,
      bytes: 0,
      missing: 1,
    });
    expect((await run(source, tempDir("out"), {})).lfs.missing).toBe(1);
    expect((await run(source, tempDir("out"), { lfs: false })).lfs.missing).toBe(0);
  });
});

describe("who is asked, and with which password", () => {
  const credentials = (password: string): CredentialProvider => ({
    fill: async () => ({ username: "alice", password }),
    approve: async () => {},
    reject: async () => {},
  });

  it("the credentials of the LFS server's URL, or of git credential", async () => {
    await using lfs = await startLfsServer({ basicAuth: "alice:sesame" });
    const source = tempRepo();
    addCommit(source, "small.bin", lfs.add(small));
    const withPassword = lfs.url.replace("://", "://alice:sesame@");
    const right: MirrorOptions[] = [
      { lfs: withPassword },
      { lfs: lfs.url, credentials: credentials("sesame") },
    ];
    for (const options of right) {
      const target = tempDir("out");
      expect((await run(source, target, options)).lfs.copied).toBe(1);
      expect(filesWith(target, "sesame")).toEqual([]);
    }
    const wrong: MirrorOptions[] = [
      { lfs: lfs.url },
      { lfs: withPassword.replace("sesame", "open") },
      { lfs: lfs.url, credentials: credentials("open") },
    ];
    for (const options of wrong) {
      await expect(run(source, tempDir("out"), options)).rejects.toSatisfy(
        (error: OdbError) => error.code === "denied" && !/open|sesame/.test(error.message),
      );
    }
  });

  it("a redirect of a download is followed, without the headers that are for its address alone", async () => {
    const heard: (string | undefined)[] = [];
    const storage = createServer(({ headers, url }, response) => {
      heard.push(headers.authorization);
      response.end(url?.endsWith(oidOf(large)) ? large : small);
    });
    await new Promise<void>((done) => storage.listen(0, "127.0.0.1", done));
    const place = `http://127.0.0.1:${(storage.address() as AddressInfo).port}/`;
    await using lfs = await startLfsServer({ storage: place });
    const source = tempRepo();
    addCommit(source, "small.bin", lfs.add(small));
    addCommit(source, "large.bin", lfs.add(large));
    const target = tempDir("out");
    expect((await run(source, target, { lfs: lfs.url })).lfs.copied).toBe(2);
    for (const content of [small, large]) expect((await readKey(target, content)).equals(content)).toBe(true);
    expect(heard).toEqual([undefined, undefined]);
    storage.close();
  });

  it("a question is not passed on to another server", async () => {
    await using other = await startLfsServer();
    const moved = createServer((_, response) => {
      response.writeHead(307, { location: `${other.url}/objects/batch` }).end();
    });
    await new Promise<void>((done) => moved.listen(0, "127.0.0.1", done));
    const source = tempRepo();
    addCommit(source, "small.bin", other.add(small));
    const lfs = `http://127.0.0.1:${(moved.address() as AddressInfo).port}/lfs`;
    await expect(run(source, tempDir("out"), { lfs })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("redirected where it cannot go"),
    });
    expect(other.seen).toEqual([]);
    moved.closeAllConnections();
    moved.close();
  });

  it("that beside the source, with the source's password, and none that .lfsconfig names", async () => {
    await using lfs = await startLfsServer({ basicAuth: "alice:sesame" });
    await using named = await startLfsServer();
    const root = tempDir("root");
    const source = join(root, "r.git");
    const work = tempRepo();
    addCommit(work, ".lfsconfig", `[lfs]\n\turl = ${named.url}\n`);
    named.add(small);
    addCommit(work, "small.bin", lfs.add(small));
    git(["clone", "-q", "--mirror", work, source]);
    await using server = await startGitHttp(root, { basicAuth: "alice:sesame" });
    await using front = await startFront(({ url = "" }) =>
      url.startsWith("/r.git/info/lfs/") ? url.replace("/r.git/info/lfs", lfs.url) : server.url + url,
    );
    const target = tempDir("out");
    const done = await run(`${front.url.replace("://", "://alice:sesame@")}/r.git`, target);
    expect(done.lfs.copied).toBe(1);
    expect((await readKey(target, small)).equals(small)).toBe(true);
    expect(named.seen).toEqual([]);
    expect(filesWith(target, "sesame")).toEqual([]);
  });
});

it("finds the server where git-lfs does, and pointers as it does", () => {
  expect(lfsUrlOf("https://host/a/b")).toBe("https://host/a/b.git/info/lfs");
  expect(lfsUrlOf("https://host/a/b.git/")).toBe("https://host/a/b.git/info/lfs");
  expect(lfsUrlOf("/a/b")).toBeUndefined();
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 7\n`;
  expect(parsePointer(Buffer.from(pointer))).toEqual({ oid: "a".repeat(64), size: 7 });
  for (const other of [
    `x${pointer}`,
    pointer.replace("7", "x"),
    pointer.replace(/a/g, "g"),
    pointer + " ".repeat(1024),
  ]) {
    expect(parsePointer(Buffer.from(other))).toBeUndefined();
  }
});

describe("git odb serve", () => {
  async function served() {
    const lfs = await startLfsServer();
    const source = tempRepo();
    addCommit(source, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    addCommit(source, "small.bin", lfs.add(small));
    addCommit(source, "large.bin", lfs.add(large));
    const root = tempDir("root");
    await run(source, join(root, "sub/repo.git"), { lfs: lfs.url });
    await lfs[Symbol.asyncDispose]();
    return root;
  }

  it.skipIf(lacks("git-lfs"))("hands the objects to git-lfs", async () => {
    const bucket = await openBucket(await served());
    await using server = await serveBucket(bucket, { readOnly: true });
    for (const path of ["sub/repo.git", "sub/repo.git/"]) {
      const clone = join(tempDir("clone"), "c");
      const filter = ["-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.required=true"];
      const done = await spawnGit([...filter, "clone", "-q", `${server.url}/${path}`, clone]);
      expect([done.status, done.stderr]).toEqual([0, ""]);
      expect(readFileSync(join(clone, "small.bin")).equals(small)).toBe(true);
      expect(readFileSync(join(clone, "large.bin")).equals(large)).toBe(true);
    }
  });

  it("answers with links from the base URL, never from Host, and refuses uploads and nonsense", async () => {
    const bucket = await openBucket(await served());
    await using server = await serveBucket(bucket, {
      baseUrl: "https://mirror.example/x/",
      hostNames: ["evil.example"],
    });
    const ask = async (body: unknown) => {
      const response = await fetch(`${server.url}/sub/repo.git/info/lfs/objects/batch`, {
        method: "POST",
        headers: { "content-type": "application/vnd.git-lfs+json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
      });
      return { status: response.status, answer: (await response.json()) as Record<string, never> };
    };
    const oid = createHash("sha256").update(small).digest("hex");
    const object = { oid, size: small.length };
    const absent = { oid: "0".repeat(64), size: 1 };
    const { status, answer } = await ask({ operation: "download", objects: [object, absent] });
    const href = `https://mirror.example/x/sub/repo.git/lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
    expect([status, answer]).toEqual([
      200,
      {
        transfer: "basic",
        hash_algo: "sha256",
        objects: [
          { ...object, actions: { download: { href } } },
          { ...absent, error: { code: 404, message: expect.any(String) } },
        ],
      },
    ]);
    const refused: [unknown, number][] = [
      [{ operation: "upload", objects: [object] }, 403],
      [{ operation: "download", objects: Array.from({ length: 101 }, () => object) }, 413],
      [{ operation: "download", objects: [{ oid: "../../x", size: 1 }] }, 422],
      [{ operation: "download", hash_algo: "md5", objects: [object] }, 409],
      [{ operation: "other", objects: [] }, 422],
      ["no json", 400],
      [`"${"x".repeat(1024 * 1024)}"`, 413],
    ];
    for (const [body, code] of refused) expect((await ask(body)).status).toBe(code);
  });
});
