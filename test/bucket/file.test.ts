import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileBucket } from "../../src/bucket/file.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { tempDir } from "../support/temp.js";

const text = (value: string) => sourceOf(Buffer.from(value));

async function read(bucket: ReturnType<typeof fileBucket>, key: string) {
  const body = await bucket.read(key);
  return body && (await collect(body.content, 1 << 20)).toString();
}

describe("file bucket", () => {
  it("keeps a key as a plain file and leaves nothing else behind", async () => {
    const dir = tempDir("bucket");
    const bucket = fileBucket(dir);
    const first = await bucket.write("a/b/c", text("one"));
    expect(await read(bucket, "a/b/c")).toBe("one");
    const second = await bucket.write("a/b/c", text("two"));
    expect(first).not.toEqual(second);
    expect(await bucket.write("a/b/c", text("x"), { ifAbsent: true })).toEqual({ written: false });
    const etag = (await bucket.head("a/b/c"))?.etag ?? "";
    expect(second).toEqual({ written: true, etag });
    expect(await bucket.write("a/b/c", text("x"), { ifMatch: `${etag}1` })).toEqual({ written: false });
    expect(await bucket.write("a/b/c", text("3"), { ifMatch: etag })).toMatchObject({ written: true });
    expect(await read(bucket, "a/b/c")).toBe("3");
    await bucket.remove(["a/b/c", "a/none"]);
    expect(readdirSync(dir)).toEqual([".git-odb"]);
    expect(readdirSync(join(dir, ".git-odb"), { recursive: true }).map(String).sort()).toEqual([
      "locks",
      `tmp-${process.getuid?.()}`,
    ]);
  });

  it("says config, not absent, when the folder is not there, and makes it on request", async () => {
    const dir = join(tempDir("bucket"), "not/yet");
    const bucket = fileBucket(dir);
    const code = { code: "config", message: expect.stringMatching(/git odb init/) };
    await expect(bucket.head("a")).rejects.toMatchObject(code);
    await expect(bucket.read("a")).rejects.toMatchObject(code);
    await expect(bucket.write("a", text("x"))).rejects.toMatchObject(code);
    await expect(bucket.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(code);
    expect(existsSync(dir)).toBe(false);
    await bucket.create?.();
    expect(await bucket.head("a")).toBeUndefined();
  });

  it("takes away what a killed process left unfinished, and nothing of one that lives", async () => {
    const dir = tempDir("bucket");
    const bucket = fileBucket(dir);
    const staging = bucket.stagingDirectory ?? "";
    const module = join(import.meta.dirname, "../../dist/lib/src/bucket/file.js");
    const code = `import { fileBucket } from ${JSON.stringify(module)};
      async function* endless() {
        for (let n = 0; ; n++) {
          yield Buffer.alloc(1 << 20);
          if (n === 3) console.log("under way");
          if (n > 3) await new Promise((wait) => setTimeout(wait, 1000));
        }
      }
      await fileBucket(${JSON.stringify(dir)}).writeStream("k", endless());`;
    const start = async () => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      return child;
    };
    const [dead, alive] = await Promise.all([start(), start()]);
    dead.kill("SIGKILL");
    await once(dead, "exit");
    expect(readdirSync(staging).length).toBe(2);
    expect(await bucket.removeUnfinished?.("", new Date(0))).toBe(1);
    expect(readdirSync(staging).length).toBe(2);
    expect(await bucket.removeUnfinished?.("", new Date())).toBe(0);
    expect(readdirSync(staging).length).toBe(1);
    alive.kill("SIGKILL");
    await once(alive, "exit");
    expect(await bucket.removeUnfinished?.("", new Date())).toBe(0);
    expect(readdirSync(staging)).toEqual([]);
  });

  it("follows no symbolic link, in any part of a key", async () => {
    const outside = tempDir("outside");
    writeFileSync(join(outside, "secret"), "x");
    const dir = tempDir("bucket");
    mkdirSync(join(dir, "objects"));
    symlinkSync(outside, join(dir, "objects/aa"));
    symlinkSync(join(outside, "secret"), join(dir, "leaf"));
    const bucket = fileBucket(dir);
    const denied = { code: "denied" };
    for (const key of ["objects/aa/secret", "objects/aa/new", "objects/aa/deep/new", "leaf"]) {
      await expect(bucket.head(key)).rejects.toMatchObject(denied);
      await expect(bucket.read(key)).rejects.toMatchObject(denied);
      await expect(bucket.write(key, text("y"), { ifMatch: "1" })).rejects.toMatchObject(denied);
      await expect(bucket.remove([key])).rejects.toMatchObject(denied);
      await expect(bucket.copy(key, "to")).rejects.toMatchObject(denied);
    }
    await expect(bucket.write("objects/aa/new", text("y"))).rejects.toMatchObject(denied);
    for await (const entry of bucket.list("")) expect.fail(entry.key);
    expect(readdirSync(outside)).toEqual(["secret"]);
  });
});
