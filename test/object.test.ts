import { randomBytes } from "node:crypto";
import { deflateSync, inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { collect, contentOf, hashObject, sourceOf, verified } from "../src/object/content.js";
import { deflateWhole } from "../src/object/deflate.js";
import { isObjectId, parseObjectId } from "../src/object/id.js";
import { formatInfo, parseInfo, parseSize } from "../src/object/info.js";
import { decodeLoose, deflateLoose, encodeLoose } from "../src/object/loose.js";
import { git, tempRepo } from "./support/git.js";

const MiB = 1024 * 1024;

/** The same bytes in chunks of `step`. */
async function* inChunks(bytes: Uint8Array, step: number) {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

describe("object ids and info", () => {
  it("hashes as git hash-object does, SHA-1 and SHA-256", () => {
    for (const algorithm of ["sha1", "sha256"] as const) {
      const repo = tempRepo(`--object-format=${algorithm}`);
      const content = randomBytes(70_000);
      expect(hashObject("blob", content, algorithm)).toBe(
        git(["hash-object", "--stdin"], { cwd: repo, input: content }),
      );
    }
  });

  it("refuses what is no id, size or info line", () => {
    expect(isObjectId("A".repeat(40))).toBe(false);
    for (const bad of ["", "abc", "g".repeat(40), "a".repeat(41), `${"a".repeat(40)}\n`]) {
      expect(() => parseObjectId(bad)).toThrow(/no object id/);
    }
    for (const bad of ["", "-1", "01", "1e3", "9".repeat(17), "1.5", " 1"]) {
      expect(() => parseSize(bad)).toThrow(/no size/);
    }
    for (const bad of ["", "x 1 blob", `${"a".repeat(40)} 1 blob x`, `${"a".repeat(40)} 1 blub`]) {
      expect(() => parseInfo(bad)).toThrow();
    }
    const info = { oid: parseObjectId("a".repeat(64)), size: 12, type: "tag" as const };
    expect(parseInfo(formatInfo(info))).toEqual(info);
  });

  it("lets nothing pass as verified that is not the object", async () => {
    const bytes = Buffer.from("hello");
    const info = { oid: hashObject("blob", bytes), size: 5, type: "blob" as const };
    expect(await collect(verified(contentOf(bytes), info), 10)).toEqual(bytes);
    await expect(collect(verified(contentOf(Buffer.from("hellO")), info), 10)).rejects.toThrow(/hash to/);
    await expect(collect(verified(contentOf(bytes, bytes), info), 10)).rejects.toThrow(/more bytes/);
    await expect(collect(verified(contentOf(), info), 10)).rejects.toThrow(/0 bytes instead of 5/);
    await expect(collect(contentOf(bytes), 4)).rejects.toThrow(/more than 4/);
  });

  it("opens a source again, in part", async () => {
    const source = sourceOf(Buffer.from("0123456789"));
    expect((await collect(source.open({ start: 3, end: 5 }), 10)).toString()).toBe("34");
    expect((await collect(source.open({ start: 8 }), 10)).toString()).toBe("89");
    expect((await collect(source.open(), 10)).toString()).toBe("0123456789");
  });
});

describe("loose objects", () => {
  it.each([0, 1, 1013, 1014, 1015, 1016, 65516, 65517, 8 * MiB + 1])(
    "round-trips %i bytes, text and random, as git reads them",
    async (size) => {
      for (const content of [randomBytes(size), Buffer.alloc(size, "git-odb keeps big files\n")]) {
        const loose = await collect(encodeLoose({ type: "blob", size }, inChunks(content, 30_011)), 64 * MiB);
        // Not toEqual: it takes seconds for a megabyte.
        expect(inflateSync(loose).equals(Buffer.concat([Buffer.from(`blob ${size}\0`), content]))).toBe(true);
        const back = await decodeLoose(inChunks(loose, 1 + (size % 4093)), "x");
        expect(back.header).toEqual({ type: "blob", size });
        expect(content.equals(await collect(back.content, size))).toBe(true);
      }
    },
  );

  it("stores what is tiny as zlib itself does, uncompressed", () => {
    for (const size of [0, 1, 15, 255, 1000]) {
      for (const content of [randomBytes(size), Buffer.alloc(size, 0xff)]) {
        const headed = Buffer.concat([Buffer.from(`blob ${size}\0`), content]);
        expect(deflateLoose("blob", content).equals(deflateSync(headed, { level: 0 }))).toBe(true);
      }
    }
  });

  it("compresses what can be compressed, and stores the rest", () => {
    const random = randomBytes(70_000);
    const image = random.map((byte, n) => (n % 4 === 3 ? 255 : byte));
    const counter = random.map((_, n) => n);
    for (const content of [Buffer.from(random.toString("base64")), image, counter, Buffer.alloc(70_000)]) {
      const deflated = deflateWhole(content);
      expect(deflated.length).toBeLessThan(content.length * 0.95);
      expect(inflateSync(deflated).equals(content)).toBe(true);
    }
    for (const content of [random, deflateSync(Buffer.from(random.toString("hex")))]) {
      const stored = deflateWhole(content);
      expect(stored.length - content.length).toBeLessThan(40);
      expect(inflateSync(stored).equals(content)).toBe(true);
    }
  });

  it("refuses truncation, surplus, broken zlib and a wrong header", async () => {
    const whole = deflateLoose("blob", randomBytes(100_000));
    const read = async (loose: Uint8Array) =>
      collect((await decodeLoose(contentOf(loose), "x")).content, MiB);
    await expect(read(whole.subarray(0, 50_000))).rejects.toThrow(/x: /);
    await expect(read(Buffer.concat([whole, Buffer.from("junk")]))).rejects.toThrow(/x: /);
    await expect(read(Buffer.from("not zlib at all"))).rejects.toThrow(/broken zlib/);
    await expect(read(deflateSync(Buffer.from("blob 3\0abcd")))).rejects.toThrow(/more content/);
    await expect(read(deflateSync(Buffer.from("blob 5\0abcd")))).rejects.toThrow(
      /1 of its 5 bytes are missing/,
    );
    await expect(read(deflateSync(Buffer.from("blub 4\0abcd")))).rejects.toThrow(/no loose object/);
    await expect(read(deflateSync(Buffer.alloc(4000, "x")))).rejects.toThrow(/no header/);
    await expect(read(Buffer.alloc(0))).rejects.toThrow(/x: /);
  });

  it("passes on what a failing producer throws, and stops a producer whose consumer left", async () => {
    async function* failing() {
      yield randomBytes(100_000);
      throw new Error("disk gone");
    }
    await expect(collect(encodeLoose({ type: "blob", size: 200_000 }, failing()), MiB)).rejects.toThrow(
      "disk gone",
    );
    let stopped = false;
    async function* endless() {
      try {
        for (;;) yield randomBytes(100_000);
      } finally {
        stopped = true;
      }
    }
    for await (const _ of encodeLoose({ type: "blob", size: 1e9 }, endless())) break;
    expect(stopped).toBe(true);
  });

  it("any chunking decodes alike", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 5000 }),
        fc.integer({ min: 1, max: 300 }),
        async (bytes, step) => {
          const back = await decodeLoose(inChunks(deflateLoose("blob", bytes), step), "x");
          expect(await collect(back.content, 5000)).toEqual(Buffer.from(bytes));
        },
      ),
    );
  });
});
