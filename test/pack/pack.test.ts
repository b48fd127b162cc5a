import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Content, collect, contentOf, hashObject } from "../../src/object/content.js";
import { type HashAlgorithm, parseObjectId } from "../../src/object/id.js";
import { BaseMemory } from "../../src/pack/base-memory.js";
import { formatEntryHeader } from "../../src/pack/entry.js";
import { openIndex, parseIndex } from "../../src/pack/idx.js";
import { formatIndex } from "../../src/pack/idx-write.js";
import { PackReader } from "../../src/pack/parse.js";
import { type PackAccess, readPacked, statPacked } from "../../src/pack/resolve.js";
import { resolveDeferred } from "../../src/pack/resolve-deferred.js";
import { type ScanOptions, scanPack } from "../../src/pack/scan.js";
import { type PackInput, writePack } from "../../src/pack/write.js";
import { git, gitBytes, tempRepo, tryGit } from "../support/git.js";

const MiB = 1024 * 1024;

async function* inChunks(bytes: Uint8Array, step: number): Content {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

/** A repository with history: a text that grows, a binary above every limit, odd sizes; packed with deltas. */
function makePacked(hash: HashAlgorithm): { repo: string; pack: string } {
  const repo = tempRepo(`--object-format=${hash}`);
  let text = Array.from({ length: 3000 }, (_, i) => `line ${i} of a text that changes\n`).join("");
  const noise = randomBytes(3 * MiB);
  for (let i = 0; i < 12; i++) {
    text = text.replace(`line ${i * 7} `, `line ${i * 7} changed ${i} `).concat(`more ${i}\n`);
    writeFileSync(join(repo, "text"), text);
    noise.write(`change ${i}`, i * 200_000);
    if (i % 4 === 0) writeFileSync(join(repo, "noise"), noise);
    writeFileSync(join(repo, `file${i}`), randomBytes(i));
    git(["add", "."], { cwd: repo });
    git(["commit", "-qm", `change ${i}`], { cwd: repo });
  }
  git(["tag", "-a", "-m", "a tag", "v1"], { cwd: repo });
  git(["repack", "-adfq", "--depth=50", "--window=20"], { cwd: repo });
  const folder = join(repo, ".git/objects/pack");
  const name = readdirSync(folder).find((file) => file.endsWith(".pack")) ?? "";
  return { repo, pack: join(folder, name) };
}

// Made here, not inside of a describe: they last as long as the file.
const packed = { sha1: makePacked("sha1"), sha256: makePacked("sha256") };

function accessTo(bytes: Buffer, hash: HashAlgorithm, index?: Buffer): PackAccess {
  const opened =
    index && openIndex(async (start, end) => index.subarray(start, end), index.length, hash, "the index");
  return {
    name: "the pack",
    hash,
    size: bytes.length,
    read: async (start, end) => inChunks(bytes.subarray(start, end), 10_007),
    find: async (oid) => await (await opened)?.find(oid),
  };
}

describe.each(["sha1", "sha256"] as const)("packs that git wrote, %s", (hash) => {
  const { repo, pack } = packed[hash];
  const bytes = readFileSync(pack);
  const idx = readFileSync(pack.replace(/pack$/, "idx"));
  const shown = git(["show-index", `--object-format=${hash}`], { cwd: repo, input: idx })
    .split("\n")
    .map((line) => line.split(" "));

  it("their index is read as git show-index does, whole and by ranges", async () => {
    const { index, packChecksum } = await parseIndex(idx, hash, "x");
    expect(packChecksum).toBe(bytes.subarray(hash === "sha1" ? -20 : -32).toString("hex"));
    const seen: string[][] = [];
    for await (const { oid, crc32, offset } of index.entries()) {
      seen.push([`${offset}`, oid, `(${crc32.toString(16).padStart(8, "0")})`]);
      expect(await index.find(oid)).toBe(offset);
    }
    expect(seen).toEqual(shown);
    expect(await index.find(hashObject("blob", randomBytes(20), hash))).toBeUndefined();
  });

  it.each([
    ["all in memory", {}, 32 * MiB, "none"],
    ["no delta kept", { deltaMemory: 0 }, 32 * MiB, "some"],
    ["next to no memory", { memory: 1000, deltaMemory: 0 }, 1000, "all"],
  ] as const)("parse to the ids that git says, %s", async (_, scan, resolve, deferred) => {
    const step = deferred === "all" ? 977 : 1 << 20;
    const smallCache = deferred === "none" ? {} : { memory: 300_000 };
    const options: ScanOptions = { ...smallCache, ...scan };
    const scanned = await scanPack(inChunks(bytes, step), hash, "x", options);
    expect(scanned.deferred.count > 0).toBe(deferred !== "none");
    expect(
      await resolveDeferred(scanned, accessTo(bytes, hash), { memory: new BaseMemory(resolve) }),
    ).toEqual([]);
    const index = scanned.table.toIndex(scanned.checksum);
    const cuts = [0, 7, 1031, 1100, idx.length >> 1, idx.length - 45, idx.length - 3, idx.length];
    for (const [i, end] of cuts.entries()) {
      const start = cuts[i - 1] ?? 0;
      expect((await collect(index.open({ start, end }), MiB)).equals(idx.subarray(start, end))).toBe(true);
    }
    expect((await collect(index.open(), MiB)).equals(idx)).toBe(true);
    expect(index.size).toBe(idx.length);
  });

  it("show all commits, trees, tags and small blobs to an observer, once each", async () => {
    const listed = git(["cat-file", "--batch-all-objects", "--batch-check"], { cwd: repo }).split("\n");
    const expected = listed.filter((line) => !/ blob \d{5,}$/.test(line) && !/ blob [2-9]\d{3}$/.test(line));
    for (const memory of [1000, 32 * MiB]) {
      const seen: string[] = [];
      const onObject: ScanOptions["onObject"] = (type, number, content, table) =>
        void seen.push(`${table.oidOf(number)} ${type} ${content.length}`);
      const scanned = await scanPack(inChunks(bytes, 70_000), hash, "x", { memory, onObject });
      await resolveDeferred(scanned, accessTo(bytes, hash), { memory: new BaseMemory(memory), onObject });
      expect(seen.sort()).toEqual(expected.sort());
    }
  });

  it("give every object as git cat-file does, by ranges", async () => {
    const access = accessTo(bytes, hash, idx);
    const batch = ["cat-file", "--batch-check"];
    const said = git(batch, { cwd: repo, input: shown.map(([, oid]) => oid).join("\n") }).split("\n");
    for (const [i, [offset, oid = ""]] of shown.entries()) {
      const found = await readPacked(access, Number(offset), { memoryLimit: i % 2 ? 1000 : MiB });
      const content = await collect(found.content, 4 * MiB);
      expect(`${oid} ${found.type} ${content.length}`).toBe(said[i]);
      expect(hashObject(found.type, content, hash)).toBe(oid);
      expect(await statPacked(access, Number(offset))).toEqual({ type: found.type, size: found.size });
    }
  });

  it("are refused when a byte is changed, cut off or added", async () => {
    for (const at of [0, 5, 9, 13, 100, bytes.length >> 1, bytes.length - 3]) {
      const bad = Buffer.from(bytes);
      bad[at] = (bad[at] ?? 0) ^ 0x11;
      await expect(scanPack(inChunks(bad, 65536), hash, "x")).rejects.toMatchObject({ code: "integrity" });
    }
    for (const bad of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)]), Buffer.alloc(0)]) {
      await expect(scanPack(inChunks(bad, 65536), hash, "x")).rejects.toMatchObject({ code: "integrity" });
    }
    const damaged = Buffer.from(idx);
    damaged[1100] = (damaged[1100] ?? 0) ^ 1;
    await expect(parseIndex(damaged, hash, "x")).rejects.toMatchObject({ code: "integrity" });
  });
});

describe("packs with ref deltas", () => {
  it("are resolved in any order, and thin ones with their bases from outside", async () => {
    const { repo } = packed.sha1;
    const revs = "HEAD\n^HEAD~3\n";
    const options = { cwd: repo, input: revs };
    const thin = gitBytes(["pack-objects", "--thin", "--stdout", "--revs", "-q"], options);
    const scan = async () => await scanPack(inChunks(thin, 5000), "sha1", "thin");
    const alone = accessTo(thin, "sha1");
    await expect(resolveDeferred(await scan(), alone)).rejects.toThrow(
      /base [0-9a-f]{40} of a delta is missing/,
    );
    const external: PackAccess["external"] = async (oid) => {
      const type = git(["cat-file", "-t", oid], { cwd: repo }) as "blob";
      const content = gitBytes(["cat-file", type, oid], { cwd: repo });
      return { type, size: content.length, content: contentOf(content) };
    };
    const scanned = await scan();
    const bases = await resolveDeferred(scanned, { ...alone, external });
    const wanted = git(["rev-list", "--objects", "HEAD", "^HEAD~3"], { cwd: repo }).split("\n");
    expect([...scanned.table.oids()].sort()).toEqual(wanted.map((line) => line.split(" ")[0]).sort());
    expect(bases.length).toBeGreaterThan(0);
    const missing = [...scanned.table.missing()].map(({ oid }) => oid);
    expect(bases.map((number) => scanned.table.oidOf(number)).sort()).toEqual(missing.sort());
  });

  it("may stand on the second copy of an object", async () => {
    const content = Buffer.from("an object that is there twice\n");
    const entry = Buffer.concat([formatEntryHeader("blob", content.length), deflateSync(content)]);
    // Sizes of base and result; copy all of the base; insert one byte.
    const delta = Buffer.of(content.length, content.length + 1, 0x90, content.length, 1, 0x21);
    const onSecond = Buffer.concat([Buffer.of(0x60 | delta.length, entry.length), deflateSync(delta)]);
    const body = Buffer.concat([Buffer.from("PACK\0\0\0\x02\0\0\0\x03", "latin1"), entry, entry, onSecond]);
    const bytes = Buffer.concat([body, createHash("sha1").update(body).digest()]);
    for (const memory of [0, MiB]) {
      const scanned = await scanPack(contentOf(bytes), "sha1", "x", { memory });
      await resolveDeferred(scanned, accessTo(bytes, "sha1"));
      const made = hashObject("blob", Buffer.concat([content, Buffer.from("!")]));
      expect([...scanned.table.oids()].sort()).toEqual([hashObject("blob", content), made].sort());
    }
  });

  it("that stand on themselves are refused", async () => {
    const { repo } = packed.sha1;
    const input = "HEAD\n^HEAD~3\n";
    const thin = gitBytes(["pack-objects", "--thin", "--stdout", "--revs", "-q"], { cwd: repo, input });
    const pack = await PackReader.open(contentOf(thin), "sha1", "thin");
    let entry = await pack.next();
    while (entry.header.type !== "ref-delta") entry = await pack.next();
    const { offset } = entry;
    const circular = { ...accessTo(thin, "sha1"), find: async () => offset };
    await expect(readPacked(circular, offset)).rejects.toThrow(/in circles/);
    await expect(statPacked(circular, offset)).rejects.toMatchObject({ code: "integrity" });
  });
});

describe.each(["sha1", "sha256"] as const)("packs that we write, %s", (hash) => {
  const sizes = [0, 1, 15, 16, 2047, 2048, 65516, 262_144, 300_000, 5 * MiB];
  const contents = sizes.flatMap((size) => [randomBytes(size), Buffer.alloc(size, "git-odb\n")]).slice(1);

  async function* inputs(): AsyncIterable<PackInput> {
    for (const content of contents) {
      const oid = hashObject("blob", content, hash);
      yield { info: { oid, size: content.length, type: "blob" }, content: inChunks(content, 65516) };
    }
  }

  it("pass git index-pack --strict and fsck, and our index is git's", async () => {
    const repo = tempRepo(`--object-format=${hash}`);
    const written = writePack(contents.length, inputs(), hash);
    const bytes = await collect(written.content, 64 * MiB);
    const file = join(repo, "x.pack");
    writeFileSync(file, bytes);
    git(["index-pack", "--strict", file], { cwd: repo });
    expect(
      readFileSync(join(repo, "x.idx")).equals(formatIndex(written.entries, written.checksum(), hash)),
    ).toBe(true);
    git(["index-pack", "--stdin", "--strict"], { cwd: repo, input: bytes });
    expect(tryGit(["fsck", "--full", "--strict"], { cwd: repo }).status).toBe(0);
    for (const content of contents) {
      const oid = hashObject("blob", content, hash);
      expect(gitBytes(["cat-file", "blob", oid], { cwd: repo }).equals(content)).toBe(true);
    }
  });

  it("refuse a wrong object and a wrong count", async () => {
    await expect(
      collect(writePack(contents.length + 1, inputs(), hash).content, 64 * MiB),
    ).rejects.toMatchObject({ code: "integrity" });
    async function* wrong(): AsyncIterable<PackInput> {
      const oid = hashObject("blob", Buffer.from("a"), hash);
      yield { info: { oid, size: 1, type: "blob" }, content: contentOf(Buffer.from("b")) };
    }
    await expect(collect(writePack(1, wrong(), hash).content, MiB)).rejects.toMatchObject({
      code: "integrity",
    });
  });
});

describe("indexes", () => {
  it("keep offsets above 2 GiB, as git show-index reads them", async () => {
    const entries = [5, 2 ** 31 - 1, 2 ** 31, 2 ** 33 + 7, 2 ** 52].map((offset, i) => ({
      oid: parseObjectId(`${i}f`.repeat(20)),
      crc32: i * 0x10000001,
      offset,
    }));
    const file = formatIndex([...entries].reverse(), "ab".repeat(20), "sha1");
    const { index } = await parseIndex(file, "sha1", "x");
    const seen = [];
    for await (const entry of index.entries()) seen.push(entry);
    expect(seen).toEqual(entries);
    const shown = git(["show-index"], { input: file }).split("\n");
    expect(shown.map((line) => Number(line.split(" ")[0]))).toEqual(entries.map(({ offset }) => offset));
  });

  it("of nothing are whole", async () => {
    const { index } = await parseIndex(formatIndex([], "00".repeat(20), "sha1"), "sha1", "x");
    expect(index.count).toBe(0);
    expect(await index.find(parseObjectId("00".repeat(20)))).toBeUndefined();
  });
});

describe("garbage", () => {
  it("gives integrity errors and nothing else", async () => {
    const start = Buffer.from("PACK\0\0\0\u0002\0\0\0\u0003", "latin1");
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, headed) => {
        const garbage = headed ? Buffer.concat([start, bytes]) : bytes;
        await expect(scanPack(contentOf(garbage), "sha1", "x")).rejects.toMatchObject({ code: "integrity" });
        await expect(parseIndex(garbage, "sha1", "x")).rejects.toMatchObject({ code: "integrity" });
      }),
      { numRuns: 200 },
    );
  });
});
