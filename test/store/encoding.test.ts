import { randomBytes } from "node:crypto";
import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { deflateLoose } from "../../src/object/loose.js";
import { asLoose, asRaw } from "../../src/store/encoding.js";

const MiB = 1024 * 1024;

async function* inChunks(bytes: Uint8Array, step: number) {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

function blob(content: Uint8Array): ObjectInfo {
  return { oid: hashObject("blob", content), size: content.length, type: "blob" };
}

const contents: [string, Buffer][] = [
  ["nothing", Buffer.alloc(0)],
  ["five bytes", Buffer.from("hello")],
  ["64 KiB of text", Buffer.alloc(65536, "git-odb keeps big files\n")],
  ["3 MiB of noise", randomBytes(3 * MiB)],
  ["9 MiB of text", Buffer.alloc(9 * MiB, "git-odb keeps big files\n")],
];

describe.each(contents)("%s", (_, content) => {
  const info = blob(content);
  const loose = deflateLoose("blob", content, 6);

  it("is given raw from either encoding", async () => {
    const fromRaw = asRaw({ info, encoding: "raw", content: inChunks(content, 70_001) });
    expect(content.equals(await collect(fromRaw, 16 * MiB))).toBe(true);
    const fromLoose = asRaw({ info, encoding: "loose", content: inChunks(loose, 70_001) });
    expect(content.equals(await collect(fromLoose, 16 * MiB))).toBe(true);
  });

  it("is given loose from either encoding, the bytes as they are where it is loose already", async () => {
    const fromRaw = asLoose({ info, encoding: "raw", content: inChunks(content, 70_001) });
    const whole = Buffer.concat([Buffer.from(`blob ${content.length}\0`), content]);
    expect(inflateSync(await collect(fromRaw, 16 * MiB)).equals(whole)).toBe(true);
    for (const step of [977, 70_001]) {
      const fromLoose = asLoose({ info, encoding: "loose", content: inChunks(loose, step) });
      expect(loose.equals(await collect(fromLoose, 16 * MiB))).toBe(true);
    }
  });

  it.each([
    ["a changed byte", (b: Buffer) => Buffer.concat([b.subarray(0, -1), Buffer.of((b.at(-1) ?? 0) ^ 1)])],
    ["a byte too many", (b: Buffer) => Buffer.concat([b, Buffer.of(0)])],
    ["a byte too few", (b: Buffer) => b.subarray(0, -1)],
    ["nothing at all", () => Buffer.alloc(0)],
    ["twice the bytes", (b: Buffer) => Buffer.concat([b, b])],
  ])("throws integrity for %s", async (_name, spoil) => {
    for (const step of [4997, 70_001]) {
      for (const as of [asRaw, asLoose]) {
        const bad = collect(as({ info, encoding: "loose", content: inChunks(spoil(loose), step) }), 32 * MiB);
        await expect(bad).rejects.toMatchObject({ code: "integrity" });
        if (content.length === 0) continue;
        const raw = collect(as({ info, encoding: "raw", content: inChunks(spoil(content), step) }), 32 * MiB);
        await expect(raw).rejects.toMatchObject({ code: "integrity" });
      }
    }
  });

  it("throws integrity for another size, type or content in the loose form", async () => {
    const others = [
      deflateLoose("tree", content),
      deflateLoose("blob", Buffer.concat([content, Buffer.of(1)])),
      deflateLoose("blob", Buffer.alloc(content.length || 1, "other")),
    ];
    for (const other of others) {
      for (const as of [asRaw, asLoose]) {
        const bad = as({ info, encoding: "loose", content: inChunks(other, 70_001) });
        await expect(collect(bad, 32 * MiB)).rejects.toMatchObject({ code: "integrity" });
      }
    }
  });
});

describe("a stream that is left or fails", () => {
  const content = randomBytes(2 * MiB);
  const info = blob(content);

  it("stops its producer when the consumer leaves early", async () => {
    for (const encoding of ["raw", "loose"] as const) {
      for (const as of [asRaw, asLoose]) {
        let stopped = false;
        const bytes = encoding === "raw" ? content : deflateLoose("blob", content);
        async function* watched() {
          try {
            yield* inChunks(bytes, 100_000);
          } finally {
            stopped = true;
          }
        }
        for await (const _ of as({ info, encoding, content: watched() })) break;
        expect(stopped).toBe(true);
      }
    }
  });

  it("passes on what the producer throws", async () => {
    async function* failing() {
      yield deflateLoose("blob", content).subarray(0, 200_000);
      throw new Error("cable cut");
    }
    for (const as of [asRaw, asLoose]) {
      const broken = collect(as({ info, encoding: "loose", content: failing() }), 4 * MiB);
      await expect(broken).rejects.toThrow("cable cut");
    }
  });

  it("refuses a bomb at the announced size", async () => {
    const bomb = deflateLoose("blob", Buffer.alloc(64 * MiB));
    const small = { ...info, size: 5 };
    for (const as of [asRaw, asLoose]) {
      await expect(
        collect(as({ info: small, encoding: "loose", content: contentOf(bomb) }), MiB),
      ).rejects.toMatchObject({ code: "integrity" });
    }
  });
});
