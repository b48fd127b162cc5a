import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import type { ObjectId } from "../../src/object/id.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { deflateLoose } from "../../src/object/loose.js";
import { readMetadata } from "../../src/odb/refs.js";
import { type Odb, type OpenOdbOptions, openOdb, openOdbHere } from "../../src/odb/session.js";
import { storeKey } from "../../src/odb/state.js";
import { openRepository, type Repository } from "../../src/repo/git.js";
import { asRaw } from "../../src/store/encoding.js";
import { openStore } from "../../src/store/open.js";
import type { ObjectStore } from "../../src/store/store.js";
import { bundled } from "../support/bundle.js";
import { git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

interface Setup {
  repo: Repository;
  store: string;
  open(options?: OpenOdbOptions): Promise<Odb>;
}

async function setup(): Promise<Setup> {
  const repo = await openRepository(tempRepo());
  const store = tempDir("store");
  await repo.run(["config", "odb.magic.url", store]);
  await repo.run(["config", "odb.magic.subprocessCommand", "git-odb-helper-file --name magic"]);
  return { repo, store, open: (options) => openOdb(repo, "magic", options) };
}

function blob(text: string | Uint8Array): { info: ObjectInfo; bytes: Buffer } {
  const bytes = Buffer.from(text as Uint8Array);
  return { info: { oid: hashObject("blob", bytes), size: bytes.length, type: "blob" }, bytes };
}

async function put(odb: Odb, text: string): Promise<ObjectInfo> {
  const { info, bytes } = blob(text);
  await odb.put(info, contentOf(bytes));
  return info;
}

async function haveOf(odb: Odb): Promise<string[]> {
  const oids: string[] = [];
  for await (const { oid } of odb.have()) oids.push(oid);
  return oids.sort();
}

const refsOf = (repo: Repository) =>
  git(["for-each-ref", "--format=%(refname:strip=3)", "refs/odbs/magic/"], { cwd: repo.gitDir })
    .split("\n")
    .filter((line) => line !== "");

const stateOf = (repo: Repository, ...more: string[]) => join(repo.commonDir, "odb/magic", ...more);

const entriesOf = (path: string) => (existsSync(path) ? readdirSync(path) : []);

let program: string | undefined;

/** Runs steps of odb-child in a process of their own. @returns its stdout */
async function child(repo: Repository, ...steps: string[]): Promise<string> {
  program ??= bundled("odb-child.ts");
  try {
    return (await promisify(execFile)(process.execPath, [program, repo.gitDir, ...steps])).stdout;
  } catch (error) {
    const { signal, message } = error as { signal?: string; message: string };
    throw new Error(signal ?? message);
  }
}

/** The file store, noting what is asked of it. */
async function watchedStore(path: string, calls: string[]): Promise<ObjectStore> {
  const store = await openStore(path);
  return {
    ...bound(store),
    stat: (oid, options) => {
      calls.push("stat");
      return store.stat(oid, options);
    },
    list: (options) => {
      calls.push("list");
      return store.list(options);
    },
  };
}

/** The methods of a store as plain properties. */
function bound(store: ObjectStore): ObjectStore {
  return {
    name: store.name,
    stat: (oid, options) => store.stat(oid, options),
    get: (oid, options) => store.get(oid, options),
    put: (object, options) => store.put(object, options),
    verify: (oid, options) => store.verify(oid, options),
    list: (options) => store.list(options),
    close: () => store.close(),
  };
}

const objectIn = (store: string, oid: string) => join(store, "objects", oid.slice(0, 2), oid);

describe("put, journal, refs", () => {
  it("journals at once, writes the refs at the end, and git agrees", async () => {
    const { repo, open } = await setup();
    const odb = await open();
    const infos = [await put(odb, "one"), await put(odb, "two"), await put(odb, "")];
    expect(refsOf(repo)).toEqual([]);
    expect(entriesOf(stateOf(repo, "journal"))).toHaveLength(1);
    expect(await haveOf(odb)).toEqual(infos.map(({ oid }) => oid).sort());
    await odb.close();
    expect(entriesOf(stateOf(repo, "journal"))).toEqual([]);
    expect(refsOf(repo)).toEqual(infos.map(({ oid }) => oid).sort());
    for (const { oid, size } of infos) {
      expect(git(["cat-file", "blob", `refs/odbs/magic/${oid}`], { cwd: repo.gitDir })).toBe(
        `${oid} ${size} blob`,
      );
    }
    expect(git(["fsck", "--strict", "--no-dangling"], { cwd: repo.gitDir })).toBe("");
    await using again = await open();
    expect(await haveOf(again)).toEqual(infos.map(({ oid }) => oid).sort());
    const stored = await again.get(infos[0]?.oid as ObjectId);
    expect(stored && (await collect(asRaw(stored), 100)).toString()).toBe("one");
  });

  it("refuses what is not the object: nothing stored, nothing journalled", async () => {
    const { repo, store, open } = await setup();
    await using odb = await open();
    const { info } = blob("right");
    await expect(odb.put(info, contentOf(Buffer.from("wrong")))).rejects.toMatchObject({ code: "integrity" });
    await expect(odb.putOrQueue(info, contentOf(Buffer.from("wrong")))).rejects.toMatchObject({
      code: "integrity",
    });
    expect(existsSync(objectIn(store, info.oid))).toBe(false);
    expect([await haveOf(odb), await odb.queued(), entriesOf(stateOf(repo, "journal"))]).toEqual([
      [],
      [],
      [],
    ]);
  });

  it("puts 10,000 objects in parallel with a fixed number of processes", async () => {
    const { repo, open } = await setup();
    // Not the disk is tested here: this git would sync each ref.
    await repo.run(["config", "core.fsync", "none"]);
    const traced = join(tempDir(), "trace");
    process.env.GIT_TRACE = traced;
    const infos: ObjectInfo[] = [];
    try {
      await using odb = await open({ url: "memory:ten-thousand" });
      for (let from = 0; from < 10_000; from += 500) {
        const group = Array.from({ length: 500 }, (_, n) => put(odb, `object ${from + n}`));
        infos.push(...(await Promise.all(group)));
      }
    } finally {
      delete process.env.GIT_TRACE;
    }
    const started = readFileSync(traced, "utf8").match(/trace: built-in:/g)?.length ?? 0;
    expect(started).toBeGreaterThan(0);
    expect(started).toBeLessThan(12);
    expect(refsOf(repo)).toHaveLength(10_000);
    const { infos: told, refused } = await readMetadata(repo, "magic");
    expect([told.size, refused]).toEqual([10_000, []]);
    expect(git(["count-objects", "-v"], { cwd: repo.gitDir })).toContain("in-pack: 10000");
  });

  it("gives the refs of a killed process to the next one, a torn last line left out", async () => {
    const { repo, open } = await setup();
    const first = blob("acknowledged");
    await expect(child(repo, "put=acknowledged", "die")).rejects.toThrow("SIGKILL");
    const [file = ""] = entriesOf(stateOf(repo, "journal"));
    expect(readFileSync(stateOf(repo, "journal", file), "utf8")).toBe(`${first.info.oid} 12 blob\n`);
    appendFileSync(stateOf(repo, "journal", file), `${"a".repeat(40)} 5 bl`);
    expect(refsOf(repo)).toEqual([]);
    await using odb = await open();
    expect(await haveOf(odb)).toEqual([first.info.oid]);
    expect(refsOf(repo)).toEqual([first.info.oid]);
    expect(entriesOf(stateOf(repo, "journal"))).toEqual([]);
  });

  it("lets a nested helper see and write what its living parent has put", async () => {
    const { repo, open } = await setup();
    await using parent = await open();
    const info = await put(parent, "from the parent");
    expect((await child(repo, "have", "close")).trim()).toBe(info.oid);
    expect(refsOf(repo)).toEqual([info.oid]);
    expect(entriesOf(stateOf(repo, "journal"))).toHaveLength(1);
    const later = await put(parent, "and later");
    await parent.flush();
    expect(refsOf(repo)).toEqual([info.oid, later.oid].sort());
  });

  it("survives processes that put and replay at the same time", async () => {
    const { repo, open } = await setup();
    await expect(child(repo, "put=left behind", "die")).rejects.toThrow("SIGKILL");
    const puts = (n: number) => Array.from({ length: 30 }, (_, i) => `put=p${n} ${i}`);
    await Promise.all([0, 1, 2].map((n) => child(repo, ...puts(n), "put=same", "have", "close")));
    expect(refsOf(repo)).toHaveLength(3 * 30 + 2);
    expect(entriesOf(stateOf(repo, "journal"))).toEqual([]);
    await using odb = await open();
    expect(await haveOf(odb)).toHaveLength(3 * 30 + 2);
    expect(git(["fsck", "--no-dangling"], { cwd: repo.gitDir })).toBe("");
  });

  it("works in a linked work tree of a SHA-256 repository as in the main one", async () => {
    const dir = tempRepo("--object-format=sha256");
    git(["commit", "-q", "--allow-empty", "-m", "x"], { cwd: dir });
    const linked = join(tempDir(), "linked");
    git(["worktree", "add", "-q", linked], { cwd: dir });
    git(["config", "odb.magic.url", "../git-odb-sha256-store"], { cwd: dir });
    mkdirSync(join(dir, "../git-odb-sha256-store"), { recursive: true });
    const bytes = Buffer.from("sha256");
    const oid = hashObject("blob", bytes, "sha256");
    {
      await using odb = await openOdb(await openRepository(linked), "magic");
      await odb.put({ oid, size: 6, type: "blob" }, contentOf(bytes));
    }
    await using odb = await openOdb(await openRepository(dir), "magic");
    expect([await haveOf(odb), odb.urls]).toEqual([[oid], [join(dir, "../git-odb-sha256-store")]]);
    rmSync(join(dir, "../git-odb-sha256-store"), { recursive: true });
  });

  it("keeps the journal when the refs cannot be written", async () => {
    const { repo, open } = await setup();
    const odb = await open();
    const info = await put(odb, "x");
    writeFileSync(join(repo.commonDir, "refs/odbs"), "in the way");
    await expect(odb.close()).rejects.toMatchObject({ message: /refs\/odbs/ });
    expect(entriesOf(stateOf(repo, "journal"))).toHaveLength(1);
    rmSync(join(repo.commonDir, "refs/odbs"));
    await (await open()).close();
    expect(refsOf(repo)).toEqual([info.oid]);
  });
});

describe("have", () => {
  it("confirms fetched refs against the store, by stat or listing, and remembers", async () => {
    for (const many of [3, 250]) {
      const { repo, store, open } = await setup();
      const other = await openRepository(tempRepo());
      {
        await using odb = await openOdb(other, "magic", { url: store });
        await Promise.all(Array.from({ length: many }, (_, n) => put(odb, `${n}`)));
      }
      git(["fetch", "-q", other.gitDir, "refs/odbs/*:refs/odbs/*"], { cwd: repo.gitDir });
      const gone = blob("1").info.oid;
      rmSync(objectIn(store, gone));
      const calls: string[] = [];
      await using odb = await open({ openStore: async () => watchedStore(store, calls) });
      const named = await haveOf(odb);
      expect(named).toHaveLength(many - 1);
      expect(named).not.toContain(gone);
      expect(calls.includes("list")).toBe(many > 200);
      calls.length = 0;
      expect(await haveOf(odb)).toEqual(named);
      expect(calls).toEqual(["stat"]);
    }
  });

  it("never names what a lying ref or a shortened copy would have it name", async () => {
    const { repo, store, open } = await setup();
    {
      await using odb = await open();
      await put(odb, "good");
      await put(odb, "short");
      await put(odb, "liar");
    }
    rmSync(stateOf(repo), { recursive: true });
    chmodSync(objectIn(store, blob("short").info.oid), 0o644);
    writeFileSync(objectIn(store, blob("short").info.oid), "shor");
    const other = git(["rev-parse", `refs/odbs/magic/${blob("good").info.oid}`], { cwd: repo.gitDir });
    git(["update-ref", `refs/odbs/magic/${blob("liar").info.oid}`, other], { cwd: repo.gitDir });
    const huge = git(["hash-object", "-w", "--stdin"], {
      cwd: repo.gitDir,
      input: Buffer.alloc(100_000, "a"),
    });
    git(["update-ref", `refs/odbs/magic/${"b".repeat(40)}`, huge], { cwd: repo.gitDir });
    git(["update-ref", "refs/odbs/magic/bundle", huge], { cwd: repo.gitDir });
    const lines: string[] = [];
    await using odb = await open({ warn: (line) => lines.push(line) });
    expect(await haveOf(odb)).toEqual([blob("good").info.oid]);
    expect(lines.join("\n")).toMatch(/liar|its blob is about|says blob of/);
    expect(lines).toHaveLength(2);
    const { infos, refused } = await readMetadata(repo, "magic");
    expect([infos.size, refused.length]).toEqual([2, 2]);
    expect(refused.join("\n")).toMatch(/missing or larger than 4096 bytes/);
  });

  it("takes metadata that others wrote without a line end", async () => {
    const { repo, store, open } = await setup();
    {
      await using odb = await open();
      await put(odb, "x");
    }
    rmSync(stateOf(repo), { recursive: true });
    const { oid } = blob("x").info;
    const meta = git(["hash-object", "-w", "--stdin"], { cwd: repo.gitDir, input: `${oid} 1 blob` });
    git(["update-ref", `refs/odbs/magic/${oid}`, meta], { cwd: repo.gitDir });
    await using odb = await open();
    expect([await haveOf(odb), existsSync(store)]).toEqual([[oid], true]);
  });

  it("forgets what another store confirmed once the URL has changed", async () => {
    const { repo, open } = await setup();
    {
      await using odb = await open();
      await put(odb, "x");
    }
    const elsewhere = tempDir("empty");
    await repo.run(["config", "odb.magic.url", elsewhere]);
    await using odb = await open();
    expect(await haveOf(odb)).toEqual([]);
    expect(storeKey(["a", "b"])).not.toBe(storeKey(["a\nb", ""]));
  });

  it("gives the confirmed ones, then the error, when the store cannot be asked", async () => {
    const { repo, open } = await setup();
    const known = blob("known").info;
    {
      await using odb = await open();
      await put(odb, "known");
    }
    const meta = git(["hash-object", "-w", "--stdin"], {
      cwd: repo.gitDir,
      input: `${"c".repeat(40)} 1 blob\n`,
    });
    git(["update-ref", `refs/odbs/magic/${"c".repeat(40)}`, meta], { cwd: repo.gitDir });
    await using odb = await open({ openStore: () => Promise.reject(new TypeError("down")) });
    const seen: string[] = [];
    const all = (async () => {
      for await (const { oid } of odb.have()) seen.push(oid);
    })();
    await expect(all).rejects.toThrow("down");
    expect(seen).toEqual([known.oid]);
  });

  it("passes over torn and foreign lines of its memory, and takes back what is gone", async () => {
    const { repo, store, open } = await setup();
    const odb = await open();
    const info = await put(odb, "x");
    await odb.flush();
    const path = stateOf(repo, `confirmed-${storeKey([store])}`);
    appendFileSync(path, `${"d".repeat(40)} 1`);
    await odb.forget([info]);
    git(["update-ref", "-d", `refs/odbs/magic/${info.oid}`], { cwd: repo.gitDir });
    expect(await haveOf(odb)).toEqual([]);
    await odb.close();
  });

  it("knows what the store holds while git receives a push, whose refs are not there yet", async () => {
    const { repo, store, open } = await setup();
    const other = await openRepository(tempRepo());
    {
      await using odb = await openOdb(other, "magic", { url: store });
      await put(odb, "pushed");
    }
    await using odb = await open();
    expect(await haveOf(odb)).toEqual([]);
    process.env.GIT_QUARANTINE_PATH = join(repo.gitDir, "objects/incoming");
    try {
      const own = await put(odb, "own");
      expect(await haveOf(odb)).toEqual([blob("pushed").info.oid, own.oid].sort());
      await odb.flush();
      expect(refsOf(repo)).toEqual([]);
    } finally {
      delete process.env.GIT_QUARANTINE_PATH;
    }
    expect(await haveOf(odb)).toHaveLength(1);
  });

  it("stops naming what a get finds gone", async () => {
    const { store, open } = await setup();
    const lines: string[] = [];
    await using odb = await open({ warn: (line) => lines.push(line) });
    const info = await put(odb, "short-lived");
    await odb.flush();
    rmSync(objectIn(store, info.oid));
    expect(await haveOf(odb)).toEqual([info.oid]);
    expect(await odb.get(info.oid)).toBeUndefined();
    expect([await haveOf(odb), lines.length]).toEqual([[], 1]);
  });

  it("finds repository and ODB at once, for one question", async () => {
    const { repo, open } = await setup();
    {
      await using odb = await open();
      await put(odb, "x");
    }
    const traced = join(tempDir(), "trace");
    process.env.GIT_TRACE = traced;
    try {
      await using odb = await openOdbHere("magic", { haveNext: true }, repo.gitDir);
      expect(await haveOf(odb)).toEqual([blob("x").info.oid]);
    } finally {
      delete process.env.GIT_TRACE;
    }
    expect(readFileSync(traced, "utf8").match(/trace: built-in:/g)).toHaveLength(3);
    await expect(openOdbHere("magic", { haveNext: true }, tempDir())).rejects.toMatchObject({
      code: "config",
    });
  });
});

describe("the queue of script mode", () => {
  it("keeps in the repository what the store cannot take, names it nowhere, and sends it later", async () => {
    const { repo, store, open } = await setup();
    rmdirSync(store);
    const { info, bytes } = blob(randomBytes(100_000));
    {
      await using odb = await open();
      expect(await odb.putOrQueue(info, contentOf(bytes))).toMatchObject({ state: "queued" });
      expect([await odb.queued(), await haveOf(odb)]).toEqual([[info], []]);
    }
    expect(refsOf(repo)).toEqual([]);
    expect(git(["cat-file", "-s", info.oid], { cwd: repo.gitDir })).toBe("100000");
    expect(git(["fsck", "--no-dangling"], { cwd: repo.gitDir })).toBe("");
    {
      await using odb = await open();
      expect(await odb.sendQueued()).toMatchObject({ sent: [], left: [info], lost: [] });
    }
    mkdirSync(store);
    await using odb = await open();
    expect(await odb.sendQueued()).toMatchObject({ sent: [info], left: [], lost: [] });
    expect([await odb.queued(), await haveOf(odb), refsOf(repo)]).toEqual([[], [info.oid], [info.oid]]);
    expect(
      createHash("sha1")
        .update(`blob 100000\0`)
        .update(readFileSync(objectIn(store, info.oid)))
        .digest("hex"),
    ).toBe(info.oid);
  });

  it("tells what is queued and in no place any more", async () => {
    const { repo, store, open } = await setup();
    rmdirSync(store);
    const { info, bytes } = blob("lost");
    await using odb = await open();
    await odb.putOrQueue(info, contentOf(bytes));
    mkdirSync(store);
    git(["prune", "--expire=now"], { cwd: repo.gitDir });
    expect(tryGit(["cat-file", "-e", info.oid], { cwd: repo.gitDir }).status).not.toBe(0);
    expect(await odb.sendQueued()).toMatchObject({ sent: [], left: [], lost: [info] });
    expect(await odb.queued()).toEqual([info]);
  });

  it("passes over a broken local copy and sends the rest", async () => {
    const { repo, store, open } = await setup();
    rmdirSync(store);
    const all = ["1", "2", "3"].map((text) => blob(`${text} to be queued`));
    await using odb = await open();
    for (const { info, bytes } of all) await odb.putOrQueue(info, contentOf(bytes));
    mkdirSync(store);
    const [{ info: bad } = blob("")] = all.toSorted((a, b) => (a.info.oid < b.info.oid ? -1 : 1));
    const path = join(repo.objectsDir, bad.oid.slice(0, 2), bad.oid.slice(2));
    chmodSync(path, 0o644);
    writeFileSync(path, deflateLoose("blob", Buffer.from("X to be queued")));
    const { sent, left, why } = await odb.sendQueued();
    expect([sent.length, left, why?.code]).toEqual([2, [bad], "integrity"]);
    expect(await haveOf(odb)).toHaveLength(2);
  });

  it("stores, journals and needs no queue when all is well", async () => {
    const { repo, open } = await setup();
    const { info, bytes } = blob("fine");
    {
      await using odb = await open();
      expect(await odb.putOrQueue(info, contentOf(bytes))).toEqual({ state: "stored" });
      expect(await odb.queued()).toEqual([]);
    }
    expect(refsOf(repo)).toEqual([info.oid]);
    expect(tryGit(["cat-file", "-e", info.oid], { cwd: repo.gitDir }).status).not.toBe(0);
  });
});

describe("install", () => {
  it("puts an object into the repository as git itself would", async () => {
    const { repo, open } = await setup();
    await using odb = await open();
    const info = await put(odb, "bring me");
    expect(await odb.install(info.oid)).toBe(true);
    expect(await odb.install(info.oid)).toBe(true);
    expect(await odb.install(blob("absent").info.oid)).toBe(false);
    expect(git(["cat-file", "blob", info.oid], { cwd: repo.gitDir })).toBe("bring me");
  });
});
