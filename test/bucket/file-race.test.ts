import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lutimesSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { fileBucket } from "../../src/bucket/file.js";
import { takeLock } from "../../src/bucket/file-lock.js";
import { ownedName } from "../../src/bucket/owner.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { bundled } from "../support/bundle.js";
import { tempDir } from "../support/temp.js";

const text = (value: string) => sourceOf(Buffer.from(value));
let child: string;
beforeAll(() => {
  child = bundled("bucket-child.ts");
});

/** A running child, what it has said it wrote, and its end. */
function start(dir: string, ...args: string[]) {
  const process_: ChildProcess = spawn(process.execPath, [child, dir, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said: string[] = [];
  process_.stdout?.on("data", (data) => said.push(...String(data).split("\n").filter(Boolean)));
  return { process_, said, ended: once(process_, "close") };
}

async function value(dir: string): Promise<number> {
  const body = await fileBucket(dir).read("n");
  return Number(body && (await collect(body.content, 100)).toString());
}

describe("file bucket, several processes", () => {
  it("loses no update between processes that count", async () => {
    const dir = tempDir("count");
    await fileBucket(dir).write("n", text("0"));
    const children = Array.from({ length: 4 }, () => start(dir, "count", "25"));
    for (const { process_, ended } of children) {
      await ended;
      expect(process_.exitCode).toBe(0);
    }
    expect(await value(dir)).toBe(100);
    expect(new Set(children.flatMap(({ said }) => said)).size).toBe(100);
  });

  it("loses no acknowledged update and never gets stuck when processes are killed at any point", async () => {
    const dir = tempDir("kill");
    await fileBucket(dir).write("n", text("0"));
    const all: ReturnType<typeof start>[] = [];
    const survivor = start(dir, "count");
    for (let round = 0; round < 6; round++) {
      const victims = [start(dir, "count"), start(dir, "count")];
      all.push(...victims);
      await Promise.all(victims.map(({ process_ }) => once(process_.stdout ?? process_, "data")));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      for (const { process_, ended } of victims) {
        process_.kill("SIGKILL");
        await ended;
      }
    }
    // Not stuck: whatever the victims held, the survivor goes on.
    await once(survivor.process_.stdout ?? survivor.process_, "data");
    survivor.process_.kill("SIGKILL");
    await survivor.ended;
    const said = [...all, survivor].flatMap((each) => each.said);
    expect(new Set(said).size).toBe(said.length);
    // Each killed process may have written one value that it could not tell of any more.
    expect(await value(dir)).toBeGreaterThanOrEqual(said.length);
    expect(await value(dir)).toBeLessThanOrEqual(said.length + all.length + 1);
  });

  it("leaves whole values only, and no key for half a file, when a writer is killed", async () => {
    const dir = tempDir("half");
    for (let round = 0; round < 6; round++) {
      const writer = start(dir, "swap-big");
      await once(writer.process_.stdout ?? writer.process_, "data");
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
      writer.process_.kill("SIGKILL");
      await writer.ended;
    }
    const bucket = fileBucket(dir);
    let seen = 0;
    for await (const { key } of bucket.list("")) {
      const body = await bucket.read(key);
      const bytes = body && (await collect(body.content, 4_000_000));
      expect(bytes?.equals(Buffer.alloc(3_000_000, bytes[0]))).toBe(true);
      seen++;
    }
    expect(seen).toBeGreaterThan(6);
  });
});

describe("what a dead process leaves", () => {
  /** The name of a process that cannot be there: above the highest pid of Linux, 4194304. */
  const deadName = () => `${ownedName().split("-")[0]}-4194400-1-${"0".repeat(16)}`;

  it("frees a dead owner's lock at once, and one out of sight after a minute", async () => {
    const dir = tempDir("lock");
    const path = join(dir, "lock");
    symlinkSync(deadName(), path);
    const first = await takeLock(path);
    await expect(takeLock(path, AbortSignal.timeout(50))).rejects.toMatchObject({ code: "aborted" });
    await first?.release();
    symlinkSync("000000000000-1-1-0000000000000000", path);
    await expect(takeLock(path, AbortSignal.timeout(50))).rejects.toMatchObject({ code: "aborted" });
    const old = Date.now() / 1000 - 61;
    lutimesSync(path, old, old);
    const second = await takeLock(path);
    expect(await second?.isHeld()).toBe(true);
    await second?.release();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("removes its unfinished files after a day, and nothing of a live process", async () => {
    const dir = tempDir("stale");
    const staging = join(dir, `.git-odb/tmp-${process.getuid?.()}`);
    mkdirSync(staging, { recursive: true });
    const dead = deadName();
    const names = { [`${dead}a`]: 25, [`${dead}b`]: 1, [ownedName()]: 25, unknown: 25 };
    for (const [name, hours] of Object.entries(names)) {
      writeFileSync(join(staging, name), "x");
      const at = Date.now() / 1000 - hours * 3600;
      utimesSync(join(staging, name), at, at);
    }
    await fileBucket(dir).write("a", text("a"));
    const [, young, own] = Object.keys(names);
    expect(readdirSync(staging).sort()).toEqual([young, own].sort());
  });
});
