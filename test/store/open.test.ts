import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileBucket } from "../../src/bucket/file.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { sample } from "../../src/conformance/store-subject.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { looseKey } from "../../src/store/loose-layout.js";
import { openStore, openStoreOn } from "../../src/store/open.js";
import { rawKey } from "../../src/store/raw-layout.js";
import { initBucket, readSettings } from "../../src/store/settings.js";
import { putContent } from "../../src/store/stage.js";
import { git } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const raw = { layout: "raw", hash: "sha1", kind: "store" } as const;

describe("git-odb.json", () => {
  it("is written once, the same again is no change, another is a conflict", async () => {
    const dir = join(tempDir("init"), "new/folder");
    await initBucket(fileBucket(dir), raw);
    await initBucket(fileBucket(dir), raw);
    expect(await readSettings(fileBucket(dir))).toEqual(raw);
    for (const other of [{ layout: "loose" }, { hash: "sha256" }, { kind: "repository" }] as const) {
      await expect(initBucket(fileBucket(dir), { ...raw, ...other })).rejects.toMatchObject({
        code: "conflict",
      });
    }
  });

  it("wins over the query", async () => {
    const dir = tempDir("wins");
    await initBucket(fileBucket(dir), { ...raw, layout: "loose" });
    const store = await openStore(`${dir}?layout=raw`);
    const object = sample(10);
    await store.put(object);
    expect(await fileBucket(dir).head(looseKey(object.info.oid))).toBeDefined();
  });

  it.each([
    ['{"version":2,"layout":"raw","hash":"sha1","kind":"store"}', /version 2/],
    ['{"version":1,"layout":"heap","hash":"sha1","kind":"store"}', /unknown layout "heap"/],
    ['{"version":1,"layout":"raw","hash":"md5","kind":"store"}', /unknown hash "md5"/],
    ['{"version":1,"layout":"raw","hash":"sha1","kind":"toy"}', /unknown kind "toy"/],
    ["<html>", /no JSON object/],
    ["[]", /version undefined/],
  ])("refuses %s", async (text, message) => {
    const bucket = memoryBucket();
    await bucket.write("git-odb.json", sourceOf(Buffer.from(text)));
    await expect(openStoreOn(bucket)).rejects.toThrow(message);
    await expect(openStoreOn(bucket)).rejects.toMatchObject({ code: "config" });
  });

  it("refuses a repository of another hash, and ids of another hash", async () => {
    const bucket = memoryBucket();
    await initBucket(bucket, raw);
    await expect(openStoreOn(bucket, { hash: "sha256" })).rejects.toThrow(/holds sha1 objects/);
    const store = await openStoreOn(bucket, { hash: "sha1" });
    for (const call of ["stat", "get", "verify"] as const) {
      await expect(store[call](sample(5, "sha256").info.oid)).rejects.toMatchObject({ code: "invalid" });
    }
    await expect(store.put(sample(5, "sha256"))).rejects.toMatchObject({ code: "invalid" });
  });

  it("does not hide a bare repository", async () => {
    const dir = tempDir("bare");
    git(["init", "-q", "--bare", dir]);
    await expect(initBucket(fileBucket(dir), raw)).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("openStore", () => {
  it("takes raw unless asked, and refuses an unknown layout", async () => {
    const dir = tempDir("open");
    const object = sample(10);
    await (await openStore(dir)).put(object);
    expect(await fileBucket(dir).head(rawKey(object.info.oid))).toBeDefined();
    await expect(openStore(`${dir}?layout=heap`)).rejects.toMatchObject({ code: "invalid" });
    await expect(openStore([])).rejects.toMatchObject({ code: "config" });
  });

  it("reads the first tier that has it, goes past one that fails, and says so when none has it", async () => {
    const [near, far] = [tempDir("near"), tempDir("far")];
    const object = sample(1000);
    await (await openStore(far)).put(object);
    const store = await openStore([near, far]);
    const found = await store.get(object.info.oid);
    expect(found && object.bytes.equals(await collect(found.content, 1000))).toBe(true);
    const missing = join(near, "missing");
    const broken = await openStore([far, near]);
    expect(await broken.stat(sample(7).info.oid)).toBeUndefined();
    await expect(openStore([missing, far])).rejects.toThrow(missing);
  });

  it("counts an object as stored when the write policy is satisfied", async () => {
    const [near, far] = [tempDir("near"), tempDir("far")];
    const all = await openStore([near, `${far}?layout=loose`], { write: "all" });
    const both = sample(2_000_000);
    const { info, bytes } = both;
    async function* content() {
      yield bytes;
    }
    await putContent(all, info, content());
    expect(await (await openStore(near)).verify(info.oid)).toEqual(info);
    expect(await (await openStore(`${far}?layout=loose`)).verify(info.oid)).toEqual(info);
    const one = sample(30);
    await (await openStore(near)).put(one);
    expect(await all.get(one.info.oid)).toBeDefined();
    expect(await all.stat(one.info.oid)).toBeUndefined();
    expect(await all.verify(one.info.oid)).toBeUndefined();
    const listed = [];
    for await (const found of all.list()) listed.push(found);
    expect(listed).toEqual([info]);
    const first = await openStore([far, near]);
    expect(await first.stat(one.info.oid)).toEqual(one.info);
  });

  it("reads loose objects that git wrote, of every type", async () => {
    const dir = tempDir("bare");
    git(["init", "-q", "--bare", dir]);
    const oid = git(["-C", dir, "hash-object", "-w", "--stdin"], { input: "hello" });
    const tree = git(["-C", dir, "mktree"], { input: `100644 blob ${oid}\thello\n` });
    const store = await openStore(dir);
    const listed = [];
    for await (const info of store.list()) listed.push(info);
    expect(listed.map(({ oid: id, type }) => `${type} ${id}`).sort()).toEqual([
      `blob ${oid}`,
      `tree ${tree}`,
    ]);
    const object = sample(100_000);
    await store.put(object);
    expect(git(["-C", dir, "cat-file", "-s", object.info.oid])).toBe("100000");
    expect(git(["-C", dir, "fsck", "--full"])).toContain(object.info.oid);
  });

  it("names a loose object that is none", async () => {
    const dir = tempDir("bad");
    const { oid } = sample(3).info;
    mkdirSync(join(dir, "objects", oid.slice(0, 2)), { recursive: true });
    writeFileSync(join(dir, looseKey(oid)), "not zlib");
    const store = await openStore(`${dir}?layout=loose`);
    await expect(store.stat(oid)).rejects.toThrow(oid);
    await expect(store.get(oid)).rejects.toMatchObject({ code: "integrity" });
  });
});
