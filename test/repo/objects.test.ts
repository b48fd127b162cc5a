import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import type { ObjectId } from "../../src/object/id.js";
import { deflateLoose, encodeLoose } from "../../src/object/loose.js";
import { infosOf, openCatFile, smallObjects } from "../../src/repo/cat-file.js";
import { gitCredentials } from "../../src/repo/credential.js";
import { openRepository } from "../../src/repo/git.js";
import { hasLoose, loosePath, writeLoose } from "../../src/repo/loose-writer.js";
import { listRefs, updateRefs, writeBlobs } from "../../src/repo/update-ref.js";
import { git, gitBytes, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const absent = "d".repeat(40) as ObjectId;

const add = (cwd: string, bytes: string | Uint8Array) =>
  git(["hash-object", "-w", "--stdin"], { cwd, input: bytes }) as ObjectId;

describe("writeLoose", () => {
  it("writes what git reads, read-only, in either hash", async () => {
    for (const format of ["sha1", "sha256"] as const) {
      const repo = await openRepository(tempRepo(`--object-format=${format}`));
      for (const size of [0, 1, 70_000]) {
        const bytes = randomBytes(size);
        const oid = hashObject("blob", bytes, format);
        await writeLoose(repo.objectsDir, oid, encodeLoose({ type: "blob", size }, contentOf(bytes)));
        await writeLoose(repo.objectsDir, oid, contentOf(Buffer.from("never read: it is there")));
        expect(gitBytes(["cat-file", "blob", oid], { cwd: repo.gitDir }).equals(bytes)).toBe(true);
        expect(statSync(join(repo.objectsDir, loosePath(oid))).mode & 0o777).toBe(0o444);
        expect(await hasLoose(repo.objectsDir, oid)).toBe(true);
      }
      expect(git(["fsck", "--no-dangling"], { cwd: repo.gitDir })).toBe("");
    }
  });

  it("leaves nothing when its content fails, and replaces an empty file", async () => {
    const repo = await openRepository(tempRepo());
    const oid = hashObject("blob", Buffer.from("x"));
    async function* broken() {
      yield Buffer.from("half");
      throw new Error("cut off");
    }
    await expect(writeLoose(repo.objectsDir, oid, broken())).rejects.toThrow("cut off");
    expect(readdirSync(join(repo.objectsDir, oid.slice(0, 2)))).toEqual([]);
    writeFileSync(join(repo.objectsDir, loosePath(oid)), "");
    await writeLoose(repo.objectsDir, oid, contentOf(deflateLoose("blob", Buffer.from("x"))));
    expect(git(["cat-file", "blob", oid], { cwd: repo.gitDir })).toBe("x");
  });

  it("keeps the modes of a shared repository", async () => {
    const repo = await openRepository(tempRepo("--shared=group"));
    const oid = hashObject("blob", Buffer.from("shared"));
    await writeLoose(repo.objectsDir, oid, contentOf(deflateLoose("blob", Buffer.from("shared"))));
    const other = add(repo.gitDir, "by git itself");
    const mode = (path: string) => statSync(join(repo.objectsDir, path)).mode & 0o7777;
    expect(mode(oid.slice(0, 2)).toString(8)).toBe(mode(other.slice(0, 2)).toString(8));
  });
});

describe("cat-file", () => {
  it("gives many objects of any size by one process, read, skipped or left in the middle", async () => {
    const dir = tempRepo();
    const big = randomBytes(3_000_000);
    const oids = { small: add(dir, "small"), big: add(dir, big), empty: add(dir, "") };
    await using objects = openCatFile(await openRepository(dir));
    expect(await objects.info(oids.big)).toEqual({ oid: oids.big, size: big.length, type: "blob" });
    expect([await objects.info(absent), await objects.get(absent)]).toEqual([undefined, undefined]);
    const first = await objects.get(oids.big);
    expect(first && (await collect(first.content, big.length)).equals(big)).toBe(true);
    const unread = await objects.get(oids.big);
    const left = await objects.get(oids.big);
    if (left) for await (const _ of left.content) break;
    const empty = await objects.get(oids.empty);
    expect(empty && (await collect(empty.content, 10)).length).toBe(0);
    const small = await objects.get(oids.small);
    expect(small && (await collect(small.content, 10)).toString()).toBe("small");
    await expect(unread && collect(unread.content, big.length)).rejects.toThrow("after the next question");
    await expect(objects.get("a\nb")).rejects.toMatchObject({ code: "invalid" });
  });

  it("reads small ones and sizes in order, skipping what is large or absent", async () => {
    const dir = tempRepo();
    const names = [add(dir, "a"), absent, add(dir, Buffer.alloc(5000)), add(dir, "bb\n\n")];
    const repo = await openRepository(dir);
    const seen: (string | undefined)[] = [];
    for await (const found of smallObjects(repo, names, 4096)) seen.push(found?.content.toString());
    expect(seen).toEqual(["a", undefined, undefined, "bb\n\n"]);
    const sizes: (number | undefined)[] = [];
    for await (const info of infosOf(repo, names)) sizes.push(info?.size);
    expect(sizes).toEqual([1, undefined, 5000, 4]);
  });

  it("asks no promisor remote and no ODB", async () => {
    const dir = tempRepo();
    git(["config", "remote.p.url", "ext::sh -c echo%20asked%20>&2"], { cwd: dir });
    git(["config", "remote.p.promisor", "true"], { cwd: dir });
    await using objects = openCatFile(await openRepository(dir));
    expect(await objects.info(absent)).toBeUndefined();
  });
});

describe("updateRefs and writeBlobs", () => {
  it("writes few as loose objects and many as a pack", async () => {
    const repo = await openRepository(tempRepo());
    for (const many of [3, 40]) {
      const contents = Array.from({ length: many }, (_, n) => Buffer.from(n === 0 ? "" : `${many} ${n}\n`));
      const oids = await writeBlobs(repo, contents);
      for (const [n, oid] of oids.entries()) {
        expect(gitBytes(["cat-file", "blob", oid], { cwd: repo.gitDir }).equals(contents[n] as Buffer)).toBe(
          true,
        );
      }
    }
    expect(git(["count-objects", "-v"], { cwd: repo.gitDir })).toMatch(/^count: 3\n(?:.*\n)*packs: 1\n/);
    expect(git(["fsck", "--no-dangling"], { cwd: repo.gitDir })).toBe("");
  });

  it("writes all refs or none, compares, deletes", async () => {
    const repo = await openRepository(tempRepo());
    const [a, b] = (await writeBlobs(repo, [Buffer.from("a"), Buffer.from("b")])) as [ObjectId, ObjectId];
    await updateRefs(repo, [
      { ref: "refs/odbs/m/1", oid: a, old: null },
      { ref: "refs/odbs/m/2", oid: a },
    ]);
    const clash = updateRefs(repo, [
      { ref: "refs/odbs/m/3", oid: b },
      { ref: "refs/odbs/m/1", oid: b, old: b },
    ]);
    await expect(clash).rejects.toMatchObject({ code: "conflict" });
    await expect(updateRefs(repo, [{ ref: "refs/odbs/m/1", oid: b, old: null }])).rejects.toMatchObject({
      code: "conflict",
    });
    await updateRefs(repo, [
      { ref: "refs/odbs/m/2", oid: undefined },
      { ref: "refs/odbs/m/1", oid: b, old: a },
    ]);
    expect(await listRefs(repo, "refs/odbs/m/")).toEqual([{ ref: "refs/odbs/m/1", oid: b }]);
  });

  it("waits for a lock that another git holds for a moment", async () => {
    const repo = await openRepository(tempRepo());
    const [a] = (await writeBlobs(repo, [Buffer.from("a")])) as [ObjectId];
    await updateRefs(repo, [{ ref: "refs/odbs/m/1", oid: a }]);
    const lock = join(repo.commonDir, "refs/odbs/m/1.lock");
    writeFileSync(lock, "");
    const writing = updateRefs(repo, [{ ref: "refs/odbs/m/1", oid: a }]);
    spawnSync("sleep", ["0.1"]);
    setTimeout(() => spawnSync("rm", [lock]), 150);
    await writing;
    expect(existsSync(lock)).toBe(false);
  });
});

describe("git credential", () => {
  it("fills, approves and rejects by the user's helpers, once at a time, never asking", async () => {
    const dir = tempRepo();
    const log = join(tempDir(), "log");
    const helper = join(tempDir(), "helper");
    writeFileSync(
      helper,
      `#!/bin/sh\necho "$1" >>${log}\ncat >>${log}\ncase "$1" in get) grep -q known ${log} && printf 'username=u\\npassword=p=w\\n';; esac\nexit 0\n`,
    );
    chmodSync(helper, 0o755);
    const repo = await openRepository(dir);
    await repo.run(["config", "credential.helper", helper]);
    const credentials = gitCredentials(repo);
    expect(await credentials.fill("https://other.example/x")).toBeUndefined();
    const both = [
      credentials.fill("https://known.example:444/a/b"),
      credentials.fill("https://known.example:444/a/b"),
    ];
    expect(await Promise.all(both)).toEqual([
      { username: "u", password: "p=w" },
      { username: "u", password: "p=w" },
    ]);
    await credentials.approve("https://known.example:444/a/b", { username: "u", password: "p=w" });
    await credentials.reject("https://known.example:444/a/b", { username: "u", password: "p=w" });
    const told = readFileSync(log, "utf8");
    expect(told.match(/^get$/gm)).toHaveLength(2);
    expect(told).toMatch(/store\nprotocol=https\nhost=known\.example:444\n(?:.*\n)*?password=p=w\n/);
    expect(told).toMatch(/erase\nprotocol=https\n/);
    await expect(
      credentials.approve("https://a.example/", { username: "u\nhost=evil", password: "p" }),
    ).rejects.toMatchObject({ code: "invalid", message: /username with a line break/ });
    await expect(credentials.fill("https://a.example/%0ahost=evil")).rejects.toMatchObject({
      code: "invalid",
    });
  });
});
