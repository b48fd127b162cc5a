/** What sources may send for packs: by git's own hook (uploadpack.packObjectsHook) it is anything at all. */

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import type { MirrorEvent } from "../../src/mirror/options.js";
import { collect, contentOf } from "../../src/object/content.js";
import { startAnyS3 } from "../support/any-s3.js";
import { git, tempRepo } from "../support/git.js";
import {
  addCommit,
  cloneMirror,
  expectMirrors,
  keysOf,
  run,
  sampleRepo,
  stateOf,
} from "../support/mirror.js";
import type { S3Server } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";

let s3: S3Server;
beforeAll(async () => {
  s3 = await startAnyS3();
});
afterAll(() => s3.close());

const savedConfig = process.env.GIT_CONFIG_GLOBAL;
afterEach(() => {
  if (savedConfig === undefined) delete process.env.GIT_CONFIG_GLOBAL;
  else process.env.GIT_CONFIG_GLOBAL = savedConfig;
});

/** Sources answer with what this shell script writes, in place of `git pack-objects`, which its arguments are. */
function answerWith(script: string): void {
  const folder = tempDir("hook");
  const hook = join(folder, "hook");
  writeFileSync(hook, `#!/bin/sh\n${script}\n`);
  chmodSync(hook, 0o755);
  process.env.GIT_CONFIG_GLOBAL = join(folder, "config");
  writeFileSync(process.env.GIT_CONFIG_GLOBAL, `[uploadpack]\n\tpackObjectsHook = ${hook}\n`);
}

let count = 0;
const newS3 = () => s3.url(`packs-${++count}`);

describe.each([false, true])("a wrong pack, --stream %s", (stream) => {
  it.each([
    ["whole, but without what its objects refer to", "git rev-parse HEAD | git pack-objects -q --stdout"],
    ["with a wrong checksum", '"$@" | head -c -1; printf x'],
    ["that ends early", '"$@" | head -c 100'],
    ["of which a byte is wrong", '"$@" | { head -c 60; head -c 1 >/dev/null; printf "\\377"; cat; }'],
    ["of nothing", "git pack-objects -q --stdout </dev/null"],
  ])("%s: an error, no reader sees it, and the next run goes on", async (_, script) => {
    const source = sampleRepo();
    const target = newS3();
    await run(source, target, { stream });
    const before = stateOf(source);
    addCommit(source, "new", "new\n");
    answerWith(script);
    await expect(run(source, target, { stream })).rejects.toMatchObject({
      code: expect.stringMatching(/integrity|unavailable/),
      message: expect.stringMatching(/^[^\n]+$/),
    });
    expect(stateOf(await cloneMirror(target))).toEqual(before);
    answerWith('exec "$@"');
    await run(source, target, { stream, graceMs: 0 });
    await expectMirrors(source, target);
    expect((await keysOf(target, "objects/pack/")).length).toBeLessThanOrEqual(6);
    addCommit(source, "new", "newer\n");
    // What the wrong pack left was seen by the run before: now it goes.
    await run(source, target, { stream, graceMs: 0 });
    expect((await keysOf(target, "objects/pack/")).length).toBe(6);
  });
});

describe("a thin pack, --stream", () => {
  /** A text of which a delta is a small part, in a repository of its own. */
  function longText(...init: string[]): { source: string; change(n: number): void } {
    const source = tempRepo(...init);
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${(i * 2_654_435_761) % 2 ** 32}\n`);
    const change = (n: number) => {
      lines[n] = `changed ${n}\n`;
      addCommit(source, "long", lines.join(""));
    };
    change(0);
    return { source, change };
  }

  it.each([
    ["s3, sha1", []],
    ["s3, sha256", ["--object-format=sha256"]],
  ])("%s: only deltas come; their bases are read from the mirror and put behind them", async (_, init) => {
    const { source, change } = longText(...init);
    const target = newS3();
    await run(source, target, { stream: true });
    for (const n of [1000, 2000]) {
      change(n);
      let received = 0;
      const onEvent = (event: MirrorEvent) => {
        if (event.event === "receive") received += event.bytes;
      };
      await run(source, target, { stream: true, onEvent, directory: "/dev/null/none" });
      expect(received).toBeLessThan(2000);
      await expectMirrors(source, target);
    }
    const bucket = await openBucket(target);
    const packs = (await keysOf(target, "objects/pack/")).filter((key) => key.endsWith(".pack"));
    expect(packs.length).toBe(3);
    for (const key of packs) {
      const folder = tempDir("pack");
      const read = async (name: string) =>
        collect((await bucket.read(name))?.content ?? contentOf(), 1 << 28);
      writeFileSync(join(folder, "p.pack"), await read(key));
      const format = init.length > 0 ? "sha256" : "sha1";
      // Each is whole by itself, and its index the one that git makes.
      const said = git(["index-pack", `--object-format=${format}`, "p.pack"], { cwd: folder });
      expect(key).toBe(`objects/pack/pack-${said}.pack`);
      const idx = await read(key.replace(/pack$/, "idx"));
      expect(idx.equals(readFileSync(join(folder, "p.idx")))).toBe(true);
    }
    const left: string[] = [];
    for await (const { key } of bucket.list("tmp/")) left.push(key);
    expect(left).toEqual([]);
    await bucket.close();
  });

  it("whose base the mirror has not: an error, and nothing is published", async () => {
    const { source, change } = longText();
    const target = newS3();
    await run(source, target, { stream: true });
    const before = stateOf(source);
    change(1000);
    change(2000);
    // A delta against the text between, which is not sent.
    answerWith(
      'printf "%s\\n" HEAD ^HEAD~1 | git pack-objects -q --thin --stdout --revs --window=1 --no-reuse-delta',
    );
    await expect(run(source, target, { stream: true })).rejects.toMatchObject({
      code: "integrity",
      message: /the base [0-9a-f]{40} of a delta is missing|object [0-9a-f]{40} is missing/,
    });
    expect(stateOf(await cloneMirror(target))).toEqual(before);
  });

  it("is refused when the mirror's copy of a base is damaged", async () => {
    const { source, change } = longText();
    const target = tempDir("out");
    await run(source, target, { stream: true });
    const [pack = ""] = (await keysOf(target, "objects/pack/")).filter((key) => key.endsWith(".pack"));
    const bytes = readFileSync(join(target, pack));
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] ?? 0) ^ 0x55;
    chmodSync(join(target, pack), 0o644);
    writeFileSync(join(target, pack), bytes);
    const refs = readFileSync(join(target, "info/refs"), "utf8");
    change(1000);
    await expect(run(source, target, { stream: true })).rejects.toMatchObject({ code: "integrity" });
    expect(readFileSync(join(target, "info/refs"), "utf8")).toBe(refs);
  });
});
