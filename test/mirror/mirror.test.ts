/** Mirrors of all kinds of repositories in a folder and in S3, cloned by stock git over plain HTTP. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HeadBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { spoolInBucket } from "../../src/mirror/bucket-spool.js";
import { mirror } from "../../src/mirror/mirror.js";
import type { MirrorEvent } from "../../src/mirror/options.js";
import { collect, contentOf, sourceOf } from "../../src/object/content.js";
import { embedded, isEmbedded, startAnyS3 } from "../support/any-s3.js";
import { git, tempRepo } from "../support/git.js";
import {
  addCommit,
  cloneMirror,
  expectMirrors,
  headOf,
  keysOf,
  run,
  sampleRepo,
  stateOf,
} from "../support/mirror.js";
import type { S3Server } from "../support/s3/index.js";
import { startServeProcess } from "../support/serve-process.js";
import { tempDir } from "../support/temp.js";

let s3: S3Server;
beforeAll(async () => {
  s3 = await startAnyS3();
});
afterAll(() => s3.close());

let count = 0;
const newS3 = () => s3.url(`mirror-${++count}`);

describe("a first copy", () => {
  it.each(["file", "s3"])("of branches, tags of all kinds and other refs, to %s", async (kind) => {
    const source = sampleRepo();
    const target = kind === "file" ? join(tempDir("out"), "deep/er") : newS3();
    const done = await run(source, target);
    expect(done).toMatchObject({ changed: true, refs: 7 });
    const [pack, ...more] = (await keysOf(target)).filter((key) => key.endsWith(".pack"));
    expect(more).toEqual([]);
    expect(pack).toMatch(/^objects\/pack\/pack-[0-9a-f]{40}\.pack$/);
    await expectMirrors(source, target);
  });

  it("writes info/refs and objects/info/packs as git update-server-info does", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    const bare = join(tempDir("bare"), "b");
    git(["clone", "-q", "--mirror", "--no-local", source, bare]);
    git(["update-server-info"], { cwd: bare });
    for (const key of ["info/refs", "HEAD"]) {
      expect(readFileSync(join(target, key), "utf8")).toBe(readFileSync(join(bare, key), "utf8"));
    }
    const shape = (text: string) => text.replace(/[0-9a-f]{40}/, "<id>");
    const [ours, theirs] = [target, bare].map((dir) => readFileSync(join(dir, "objects/info/packs"), "utf8"));
    expect(shape(ours ?? "")).toBe(shape(theirs ?? ""));
  });

  it("of a SHA-256 repository", async () => {
    const source = sampleRepo("--object-format=sha256");
    const target = tempDir("out");
    await run(source, target);
    await expectMirrors(source, target);
    addCommit(source, "later", "later\n");
    await run(source, target);
    await expectMirrors(source, target);
  });

  it("of an empty repository, which is filled later", async () => {
    const source = tempRepo("--initial-branch=trunk");
    const target = tempDir("out");
    expect(await run(source, target)).toMatchObject({ changed: true, refs: 0, objects: 0 });
    expect(readFileSync(join(target, "HEAD"), "utf8")).toMatch(/^ref: refs\/heads\//);
    await cloneMirror(target);
    expect(await run(source, target)).toMatchObject({ changed: false });
    addCommit(source, "a", "a\n");
    await run(source, target);
    await expectMirrors(source, target);
  });

  it("of a detached HEAD that no ref reaches, and one that moves on", async () => {
    const source = sampleRepo();
    git(["checkout", "-q", "--detach"], { cwd: source });
    addCommit(source, "detached", "detached\n");
    const target = tempDir("out");
    await run(source, target);
    const clone = await cloneMirror(target);
    expect(headOf(clone)).toBe(headOf(source));
    addCommit(source, "detached", "more\n");
    expect(await run(source, target)).toMatchObject({ changed: true, objects: 3 });
    expect(headOf(await cloneMirror(target))).toBe(headOf(source));
  });

  it("of a HEAD that points to a branch which is not there", async () => {
    const source = sampleRepo();
    git(["symbolic-ref", "HEAD", "refs/heads/nowhere"], { cwd: source });
    const target = tempDir("out");
    await run(source, target);
    expect(stateOf(await cloneMirror(target))).toEqual(stateOf(source));
  });

  it("of ref names that are no UTF-8 and of strange but legal ones", async () => {
    const source = sampleRepo();
    const oid = git(["rev-parse", "HEAD"], { cwd: source });
    const names = Buffer.concat([
      Buffer.from(`create refs/heads/caf`),
      Buffer.from([0xe9]),
      Buffer.from(` ${oid}\ncreate refs/heads/a'b"c$d\`e ${oid}\ncreate refs/heads/ü ${oid}\n`),
    ]);
    git(["update-ref", "--stdin"], { cwd: source, input: names });
    const target = tempDir("out");
    await run(source, target);
    await expectMirrors(source, target);
  });

  it("of 100,000 refs, and then of one more", async () => {
    const source = tempRepo();
    const oid = addCommit(source, "a", "a\n");
    const lines = Array.from({ length: 100_000 }, (_, i) => `${oid} refs/changes/${i % 100}/${i}\n`).sort(
      (a, b) => (a < b ? -1 : 1),
    );
    const head = "# pack-refs with: peeled fully-peeled sorted \n";
    writeFileSync(join(source, ".git/packed-refs"), head + lines.join(""));
    const target = tempDir("out");
    expect(await run(source, target)).toMatchObject({ refs: 100_001, objects: 3 });
    expect(await run(source, target)).toMatchObject({ changed: false });
    addCommit(source, "a", "b\n");
    expect(await run(source, target)).toMatchObject({ refs: 100_001, objects: 3 });
    expect(readFileSync(join(target, "info/refs"), "latin1")).toBe(
      `${git(["for-each-ref", "--format=%(objectname)%09%(refname)"], { cwd: source })}\n`,
    );
  });

  it("of some refs only", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    expect(await run(source, target, { refs: ["main", "v*"] })).toMatchObject({ refs: 3 });
    const clone = await cloneMirror(target);
    expect(git(["for-each-ref", "--format=%(refname)"], { cwd: clone }).split("\n")).toEqual([
      "refs/heads/main",
      "refs/tags/v1",
      "refs/tags/v1-again",
    ]);
    await expect(run(source, target, { refs: ["a b"] })).rejects.toMatchObject({ code: "invalid" });
  });
});

describe("the next run", () => {
  it.skipIf(!isEmbedded)("asks a few questions when nothing is new, and writes nothing", async () => {
    const source = sampleRepo();
    const target = newS3();
    await run(source, target);
    await embedded(s3).takeRequests();
    expect(await run(source, target)).toMatchObject({ changed: false, objects: 0, bytes: 0 });
    const requests = await embedded(s3).takeRequests();
    expect(requests.map(({ operation }) => operation)).toEqual([
      "GetObject",
      "GetObject",
      "GetObject",
      "GetObject",
    ]);
  });

  it("brings only what is new, keeps what readers have, and takes deleted refs away", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    const packs = readdirSync(join(target, "objects/pack"));
    addCommit(source, "new", "new\n");
    git(["tag", "-d", "light", "v1"], { cwd: source });
    git(["branch", "-qD", "topic"], { cwd: source });
    expect(await run(source, target)).toMatchObject({ changed: true, objects: 3 });
    expect(readdirSync(join(target, "objects/pack"))).toEqual(expect.arrayContaining(packs));
    const clone = await cloneMirror(target);
    expect(stateOf(clone).refs).toBe(stateOf(source).refs);
    expect(stateOf(clone).objects).toBe(stateOf(source).objects);
  });

  it("follows a branch that was rewritten, and a HEAD that was switched", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    git(["commit", "-q", "--amend", "-m", "rewritten"], { cwd: source });
    git(["switch", "-q", "topic"], { cwd: source });
    git(["reflog", "expire", "--expire=now", "--all"], { cwd: source });
    git(["gc", "-q", "--prune=now"], { cwd: source });
    await run(source, target);
    await expectMirrors(source, target);
    git(["switch", "-q", "main"], { cwd: source });
    expect(await run(source, target)).toMatchObject({ changed: true, objects: 0 });
    expect(readFileSync(join(target, "HEAD"), "utf8")).toBe("ref: refs/heads/main\n");
  });

  it("replaces many packs by one, and takes the old ones away in two steps", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    const packs = () => readFileSync(join(target, "objects/info/packs"), "utf8").match(/^P /gm)?.length;
    const files = () =>
      readdirSync(join(target, "objects/pack")).filter((name) => name.endsWith(".pack")).length;
    for (let i = 0; i < 3; i++) {
      addCommit(source, "grow", `${i}\n`);
      await run(source, target, { packLimit: 3 });
    }
    expect([packs(), files()]).toEqual([3, 3]);
    addCommit(source, "grow", "whole\n");
    await run(source, target, { packLimit: 3 });
    // A reader of the old refs may be under way: nothing has left the table yet.
    expect([packs(), files()]).toEqual([4, 4]);
    await expectMirrors(source, target);
    expect(await run(source, target)).toMatchObject({ changed: false });
    await later(target, 25);
    await run(source, target);
    expect([packs(), files()]).toEqual([1, 4]);
    await expectMirrors(source, target);
    await later(target, 25);
    await run(source, target);
    expect([packs(), files()]).toEqual([1, 1]);
    await expectMirrors(source, target);
    expect(await run(source, target)).toMatchObject({ changed: false });
  });

  it("takes away what killed runs left, after the grace period", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    const orphan = `objects/pack/pack-${"0".repeat(40)}`;
    const bucket = await openBucket(target);
    for (const key of [`${orphan}.pack`, `${orphan}.idx`, "tmp/left"]) {
      await bucket.write(key, sourceOf(Buffer.from("x")));
    }
    addCommit(source, "new", "new\n");
    await run(source, target);
    expect(await keysOf(target)).toEqual(expect.arrayContaining([`${orphan}.pack`, "tmp/left"]));
    addCommit(source, "new", "newer\n");
    await run(source, target, { graceMs: 0 });
    const left = await keysOf(target);
    expect(left.filter((key) => key.startsWith(orphan) || key.startsWith("tmp/"))).toEqual([]);
    await expectMirrors(source, target);
  });
});

/** Makes the record say that everything happened so many hours earlier. */
async function later(target: string, hours: number): Promise<void> {
  const file = join(target, "git-odb/mirror");
  const earlier = (time: string) => new Date(Date.parse(time) - hours * 3_600_000).toISOString();
  const text = readFileSync(file, "utf8").replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, earlier);
  writeFileSync(file, text);
}

describe("--stream", () => {
  it.each(["file", "s3", "sha256"])("uses no disk here: %s", async (kind) => {
    const source = sampleRepo(...(kind === "sha256" ? ["--object-format=sha256"] : []));
    const text = Array.from({ length: 40_000 }, (_, i) => `line ${i * 7919}\n`);
    for (let i = 0; i < 4; i++) {
      text[i * 1000] = `changed ${i}\n`;
      addCommit(source, "long", text.join(""));
    }
    git(["repack", "-qadf", "--depth=10"], { cwd: source });
    const target = kind === "file" ? tempDir("out") : newS3();
    // A folder that is none: whatever would be set aside there fails.
    const options = { stream: true, directory: "/dev/null/none" };
    await run(source, target, options);
    const [pack] = (await keysOf(target)).filter((key) => key.endsWith(".pack"));
    await expectMirrors(source, target);
    await expectSameIndex(target, pack ?? "");
    addCommit(source, "new", "new\n");
    expect(await run(source, target, options)).toMatchObject({ objects: 3 });
    await expectMirrors(source, target);
    expect((await keysOf(target)).filter((key) => key.startsWith("tmp/"))).toEqual([]);
  });

  it("sets aside in the bucket what memory does not hold", async () => {
    const bucket = await openBucket(newS3());
    const bytes = randomBytes(3_500_000);
    const spooled = await spoolInBucket(bucket, "tmp/x", contentOf(bytes), {});
    for (const [start, end] of [
      [0, 10],
      [1_048_570, 1_048_590],
      [0, 3_500_000],
      [3_499_999, 3_500_000],
    ] as const) {
      expect(Buffer.from(await spooled.read(start, end)).equals(bytes.subarray(start, end))).toBe(true);
    }
    await spooled[Symbol.asyncDispose]();
    expect(await bucket.head("tmp/x")).toBeUndefined();
    await bucket.close();
  });

  it("is refused where a bucket cannot take a stream", async () => {
    await using server = await startServeProcess(tempDir("served"));
    await expect(run(sampleRepo(), server.url, { stream: true })).rejects.toMatchObject({
      code: "unsupported",
    });
    await run(sampleRepo(), server.url);
  });
});

/** The index is byte for byte the one that git makes. */
async function expectSameIndex(target: string, key: string): Promise<void> {
  const bucket = await openBucket(target);
  const folder = tempDir("pack");
  const read = async (name: string) => collect((await bucket.read(name))?.content ?? contentOf(), 1 << 28);
  writeFileSync(join(folder, "p.pack"), await read(key));
  const format = key.length > 70 ? "sha256" : "sha1";
  git(["index-pack", `--object-format=${format}`, "p.pack"], { cwd: folder });
  const idx = await read(key.replace(/pack$/, "idx"));
  expect(idx.equals(readFileSync(join(folder, "p.idx")))).toBe(true);
  await bucket.close();
}

describe.skipIf(!isEmbedded)("a target that fails", () => {
  it.each([
    ["denied", { kind: "forbidden" }, "denied"],
    ["full", { kind: "full" }, "full"],
  ] as const)("%s: one line, nothing published, and the next run goes on", async (_, rule, code) => {
    const source = sampleRepo();
    const target = newS3();
    await run(source, target);
    const before = stateOf(source);
    addCommit(source, "new", "new\n");
    for (const options of [{}, { stream: true }]) {
      await embedded(s3).setFaults({
        rules: [{ operation: "PutObject", key: "/(objects/pack|tmp)/", ...rule }],
      });
      await expect(run(source, target, options)).rejects.toMatchObject({ code, message: /^[^\n]+$/ });
      await embedded(s3).setFaults({});
      expect(stateOf(await cloneMirror(target))).toEqual(before);
    }
    await run(source, target);
    await expectMirrors(source, target);
  });

  it("does not show its unfinished uploads: the mirror is made all the same", async () => {
    const source = sampleRepo();
    const target = newS3();
    await embedded(s3).setFaults({ rules: [{ operation: "ListMultipartUploads", kind: "forbidden" }] });
    await embedded(s3).takeRequests();
    await run(source, target, { stream: true });
    const asked = (await embedded(s3).takeRequests()).map(({ operation }) => operation);
    expect(asked).toContain("ListMultipartUploads");
    await embedded(s3).setFaults({});
    await expectMirrors(source, target);
  });

  it("ignores conditions: refused before anything is written", async () => {
    await embedded(s3).setFaults({ conditions: "ignored" });
    const target = newS3();
    await expect(run(sampleRepo(), target)).rejects.toMatchObject({ code: "unsupported" });
    await embedded(s3).setFaults({});
    expect(await keysOf(target)).toEqual([]);
  });
});

describe("layout loose", () => {
  it.each(["file", "s3"])("has a key for each object, and is cloned from %s", async (kind) => {
    const source = sampleRepo();
    const target = kind === "file" ? tempDir("out") : newS3();
    const done = await run(source, target, { layout: "loose" });
    const objects = (await keysOf(target)).filter((key) => /^objects\/[0-9a-f]{2}\//.test(key));
    expect(objects.length).toBe(done.objects);
    expect((await keysOf(target)).filter((key) => key.startsWith("objects/pack/"))).toEqual([]);
    await expectMirrors(source, target);
    addCommit(source, "new", "new\n");
    expect(await run(source, target, { layout: "loose" })).toMatchObject({ objects: 3 });
    await expectMirrors(source, target);
    await expect(run(source, target)).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("what is refused", () => {
  it("a target that holds something else, unless forced", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    writeFileSync(join(target, "mine"), "mine");
    await expect(run(source, target)).rejects.toMatchObject({
      code: "conflict",
      message: /no mirror of ours.*--force/,
    });
    expect(readdirSync(target)).toEqual(["mine"]);
    await run(source, target, { force: true });
    await expectMirrors(source, target);
    expect(existsSync(join(target, "mine"))).toBe(true);
  });

  it("a target that is the mirror of another source, unless forced", async () => {
    const [one, other] = [sampleRepo(), sampleRepo()];
    addCommit(other, "other", "other\n");
    const target = tempDir("out");
    await run(one, target);
    await expect(run(other, target)).rejects.toMatchObject({
      code: "conflict",
      message: new RegExp(`mirror of ${one}`),
    });
    await expectMirrors(one, target);
    await run(other, target, { force: true });
    await expectMirrors(other, target);
  });

  it("an emptied source, unless it is meant", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    const before = stateOf(source);
    rmSync(join(source, ".git/refs"), { recursive: true });
    rmSync(join(source, ".git/packed-refs"), { force: true });
    mkdirSync(join(source, ".git/refs/heads"), { recursive: true });
    await expect(run(source, target)).rejects.toMatchObject({ code: "conflict", message: /--allow-empty/ });
    expect(stateOf(await cloneMirror(target))).toEqual(before);
    expect(await run(source, target, { allowEmpty: true })).toMatchObject({ changed: true, refs: 0 });
    expect(readFileSync(join(target, "info/refs"), "utf8")).toBe("");
  });

  it("a shallow source, with the reason", async () => {
    const shallow = join(tempDir("shallow"), "s");
    git(["clone", "-q", "--depth=2", `file://${sampleRepo()}`, shallow]);
    const target = tempDir("out");
    await expect(run(shallow, target)).rejects.toMatchObject({
      code: "unsupported",
      message: /shallow.*--unshallow/,
    });
    expect((await keysOf(target)).filter((key) => !key.startsWith("git-odb/"))).toEqual([]);
  });

  it.each([
    ["a folder that is no repository", () => tempDir("plain"), "config"],
    ["a folder that is not there", () => "/no/such/folder", "config"],
    ["a remote helper", () => "ext::sh -c id", "invalid"],
    ["an unknown transport", () => "ftp://host/repo", "invalid"],
    ["a host that is an option", () => "-oProxyCommand=id:repo", "invalid"],
  ])("%s as a source", async (_, source, code) => {
    await expect(run(source(), tempDir("out"))).rejects.toMatchObject({ code });
  });

  it("a source that lacks objects: nothing is published", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    const before = stateOf(source);
    addCommit(source, "new", "new\n");
    const blob = git(["rev-parse", "HEAD:new"], { cwd: source });
    rmSync(join(source, ".git/objects", blob.slice(0, 2), blob.slice(2)));
    await expect(run(source, target)).rejects.toThrow(source);
    expect(stateOf(await cloneMirror(target))).toEqual(before);
  });

  it("a mirror that has lost a pack: it says so, and --force mends it", async () => {
    const source = sampleRepo();
    const target = tempDir("out");
    await run(source, target);
    for (const name of readdirSync(join(target, "objects/pack"))) rmSync(join(target, "objects/pack", name));
    addCommit(source, "new", "new\n");
    await expect(run(source, target)).rejects.toMatchObject({ code: "integrity", message: /--force/ });
    await run(source, target, { force: true });
    await expectMirrors(source, target);
  });
});

describe("two at once", () => {
  it("one of the runs to a target wins, and the mirror is whole", async () => {
    const source = sampleRepo();
    const target = newS3();
    await run(source, target);
    addCommit(source, "new", "new\n");
    const both = await Promise.all([1, 2].map(() => mirror([{ source, target }])));
    const failed = both.flatMap((report) => report.failed);
    for (const { error } of failed) expect(error.code).toBe("conflict");
    expect(failed.length).toBeLessThan(2);
    await expectMirrors(source, target);
  });

  it("takes pairs as workers get free, and goes by an S3 client of the caller's, which stays open", async () => {
    const { endpoint, accessKeyId, secretAccessKey } = s3;
    const client = new S3Client({
      endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
    const [first, second] = [sampleRepo(), sampleRepo()];
    const events: string[] = [];
    async function* pairs() {
      for (const source of [first, second]) {
        events.push(`asked for ${source}`);
        yield { source, target: newS3() };
      }
    }
    const secret = process.env.AWS_SECRET_ACCESS_KEY;
    process.env.AWS_SECRET_ACCESS_KEY = "wrong";
    try {
      const onEvent = ({ event, source }: MirrorEvent) => {
        if (event === "done") events.push(`done ${source}`);
      };
      const report = await mirror(pairs(), { s3Client: client, workers: 1, onEvent });
      expect(report).toMatchObject({ done: [{ source: first }, { source: second }], failed: [] });
      await client.send(new HeadBucketCommand({ Bucket: "test" }));
    } finally {
      process.env.AWS_SECRET_ACCESS_KEY = secret;
    }
    expect(events).toEqual([`asked for ${first}`, `done ${first}`, `asked for ${second}`, `done ${second}`]);
    await expectMirrors(first, s3.url(`mirror-${count - 1}`));
    await expectMirrors(second, s3.url(`mirror-${count}`));
    client.destroy();
  });

  it("one repository that fails leaves the others done", async () => {
    const sources = [sampleRepo(), "/no/such/folder", sampleRepo()];
    const pairs = sources.map((source) => ({ source, target: newS3() }));
    async function* coming() {
      yield* pairs;
    }
    const { done, failed } = await mirror(coming(), { workers: 2 });
    expect(done.map(({ source }) => source).sort()).toEqual([sources[0], sources[2]].sort());
    expect(failed.map(({ source }) => source)).toEqual(["/no/such/folder"]);
    for (const { source, target } of [pairs[0], pairs[2]].flatMap((pair) => pair ?? [])) {
      await expectMirrors(source, target);
    }
  });
});

it("leaves no temporary repository behind", async () => {
  const directory = tempDir("scratch");
  await run(sampleRepo(), tempDir("out"), { directory });
  expect(readdirSync(directory)).toEqual([]);
  // One of a process that was killed.
  const code = `import("${join(import.meta.dirname, "../../dist/lib/src/mirror/scratch.js")}").then(async (m) => { await m.scratchRepository("sha1", process.argv[1]); process.kill(process.pid, 9); })`;
  expect(() => execFileSync(process.execPath, ["-e", code, directory])).toThrow();
  expect(readdirSync(directory).length).toBe(1);
  await run(sampleRepo(), tempDir("out"), { directory });
  expect(readdirSync(directory)).toEqual([]);
});
