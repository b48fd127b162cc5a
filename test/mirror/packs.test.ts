/** What sources may send for packs: by git's own hook (uploadpack.packObjectsHook) it is anything at all. */

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { mirror } from "../../src/mirror/mirror.js";
import type { MirrorDone, MirrorOptions } from "../../src/mirror/options.js";
import { addCommit, cloneMirror, expectMirrors, sampleRepo, stateOf } from "../support/mirror.js";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";

let s3: EmbeddedS3;
beforeAll(async () => {
  s3 = await startS3();
  Object.assign(process.env, s3.env);
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

async function run(source: string, target: string, options: MirrorOptions = {}): Promise<MirrorDone> {
  const { done, failed } = await mirror([{ source, target }], options);
  for (const { error } of failed) throw error;
  const [only] = done;
  if (only === undefined) throw new Error("nothing was done");
  return only;
}

async function packsOf(target: string): Promise<string[]> {
  const bucket = await openBucket(target);
  const keys: string[] = [];
  for await (const { key } of bucket.list("objects/pack/")) keys.push(key);
  await bucket.close();
  return keys;
}

describe.each([false, true])("a wrong pack, --stream %s", (stream) => {
  it.each([
    ["whole, but without what its objects refer to", "git rev-parse HEAD | git pack-objects -q --stdout"],
    ["with a wrong checksum", '"$@" | head -c -1; printf x'],
    ["that ends early", '"$@" | head -c 300'],
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
    expect((await packsOf(target)).length).toBeLessThanOrEqual(6);
    addCommit(source, "new", "newer\n");
    // What the wrong pack left was seen by the run before: now it goes.
    await run(source, target, { stream, graceMs: 0 });
    expect((await packsOf(target)).length).toBe(6);
  });
});
