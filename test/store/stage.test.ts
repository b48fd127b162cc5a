import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { stage } from "../../src/store/stage.js";
import { tempDir } from "../support/temp.js";

const MiB = 1024 * 1024;

async function* inChunks(bytes: Uint8Array, step: number) {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

function blob(content: Uint8Array): ObjectInfo {
  return { oid: hashObject("blob", content), size: content.length, type: "blob" };
}

describe("staging", () => {
  it.each([0, 1, 65516, MiB, MiB + 1, 5 * MiB + 17])("keeps %i verified bytes", async (size) => {
    const directory = join(tempDir("stage"), "made/when/needed");
    const content = randomBytes(size);
    const staged = await stage(blob(content), inChunks(content, 65516), { directory, sha256: true });
    expect(staged.size).toBe(size);
    expect(staged.sha256).toBe(createHash("sha256").update(content).digest("hex"));
    for (let again = 0; again < 2; again++) {
      expect(content.equals(await collect(staged.open(), size))).toBe(true);
    }
    const part = await collect(staged.open({ start: size >> 1, end: size }), size);
    expect(content.subarray(size >> 1).equals(part)).toBe(true);
    expect(staged.file !== undefined).toBe(size > MiB);
    if (staged.file) {
      expect(statSync(staged.file.path).mode & 0o777).toBe(0o600);
      expect(content.equals(readFileSync(staged.file.path))).toBe(true);
    }
    await staged[Symbol.asyncDispose]();
    if (staged.file) expect(existsSync(staged.file.path)).toBe(false);
  });

  it.each([1000, 3 * MiB])("refuses %i wrong bytes and leaves no file", async (size) => {
    const directory = tempDir("stage");
    const content = randomBytes(size);
    const info = blob(content);
    const wrong = Buffer.from(content);
    wrong[size - 1] = (wrong[size - 1] ?? 0) ^ 1;
    for (const bad of [wrong, content.subarray(1), Buffer.concat([content, content])]) {
      await expect(stage(info, inChunks(bad, 65516), { directory })).rejects.toMatchObject({
        code: "integrity",
      });
    }
    expect(readdirSync(directory)).toEqual([]);
  });

  it("leaves no file when the content fails or the call is ended", async () => {
    const directory = tempDir("stage");
    const content = randomBytes(3 * MiB);
    async function* failing() {
      yield* inChunks(content.subarray(0, 2 * MiB), 65516);
      throw new Error("cable cut");
    }
    await expect(stage(blob(content), failing(), { directory })).rejects.toThrow("cable cut");
    const ended = new AbortController();
    async function* slow() {
      yield* inChunks(content.subarray(0, 2 * MiB), 65516);
      ended.abort();
      yield content.subarray(2 * MiB);
    }
    await expect(stage(blob(content), slow(), { directory, signal: ended.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    expect(readdirSync(directory)).toEqual([]);
  });

  it("says which folder it cannot write to", async () => {
    const content = randomBytes(2 * MiB);
    const directory = join(tempDir("stage"), "file");
    writeFileSync(directory, "");
    await expect(stage(blob(content), contentOf(content), { directory })).rejects.toThrow(directory);
  });
});
