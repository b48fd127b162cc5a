/** Runs that are killed in the middle of a large pack: what the next one does with the parts that they sent. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { startAnyS3 } from "../support/any-s3.js";
import { commandFolder } from "../support/cli.js";
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.js";
import { git, tempRepo } from "../support/git.js";
import { addCommit, expectMirrors, keysOf, run } from "../support/mirror.js";
import type { S3Server } from "../support/s3/index.js";

let s3: S3Server;
beforeAll(async () => {
  s3 = await startAnyS3();
});
afterAll(() => s3.close());

/** A repository whose pack has more than so many MiB. */
function noise(mib: number): string {
  const source = tempRepo();
  // Nothing is gained by deflating noise.
  git(["config", "core.compression", "0"], { cwd: source });
  // As UTF-8 it is half as long again.
  addCommit(source, "noise", randomBytes((mib * 1024 * 1024 * 2) / 3).toString("latin1"));
  return source;
}

/** Runs the command until the second part of its upload hangs and others have gone through, and kills it there. */
async function killedInUpload(proxy: FaultyProxy, source: string, target: string, ...options: string[]) {
  proxy.add({ path: /partNumber=2/, fault: { kind: "hang" } });
  const args = ["mirror", "-q", ...options, "--source", source, "--target", target];
  const child = spawn(join(commandFolder(), "git-odb"), args, { stdio: ["ignore", "ignore", "inherit"] });
  await stuck(proxy, child);
  proxy.clear();
}

async function stuck(proxy: FaultyProxy, child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  const parts = () => proxy.seen.filter(({ path }) => /partNumber=/.test(path));
  // All parts but the stuck one.
  const isStuck = () =>
    parts().some(({ fault }) => fault === "hang") && parts().filter(({ answered }) => answered).length >= 3;
  while (child.exitCode === null && !isStuck()) await new Promise((wait) => setTimeout(wait, 10));
  expect(child.exitCode).toBe(null);
  child.kill("SIGKILL");
  await exited;
}

it("a pack that is at hand goes on with the parts that it finds", async () => {
  await using proxy = await startFaultyProxy(s3.endpoint);
  // Four parts of 16 MiB, the last one not full.
  const source = noise(54);
  const target = s3.url("resume", { endpoint: proxy.url });
  await killedInUpload(proxy, source, target);
  proxy.seen.splice(0);
  await run(source, target);
  const sent = proxy.seen.filter(({ method, path }) => method === "PUT" && /partNumber=/.test(path));
  expect(sent.map(({ path }) => /partNumber=(\d+)/.exec(path)?.[1])).toEqual(["2"]);
  expect(proxy.seen.some(({ method, path }) => method === "POST" && /\?uploads/.test(path))).toBe(false);
  await expectMirrors(source, s3.url("resume"));
}, 120_000);

it("the upload of a stream is given up a grace period later, and not before: it may be somebody else's", async () => {
  await using proxy = await startFaultyProxy(s3.endpoint);
  // Four parts of 8 MiB, the last one not full.
  const source = noise(28);
  const target = s3.url("streamed");
  await killedInUpload(proxy, source, s3.url("streamed", { endpoint: proxy.url }), "--stream");
  const bucket = await openBucket(target);
  const unfinished = async () => await bucket.removeUnfinished?.("tmp/", new Date(0));
  expect(await unfinished()).toBe(1);
  await run(source, target, { stream: true });
  await expectMirrors(source, target);
  expect(await unfinished()).toBe(1);
  expect(await run(source, target, { stream: true })).toMatchObject({ changed: false });
  // Nothing new at the source, and still it is not forgotten.
  await run(source, target, { stream: true, graceMs: 0 });
  expect(await unfinished()).toBe(0);
  expect(await keysOf(target, "tmp/")).toEqual([]);
  expect(await run(source, target, { stream: true, graceMs: 0 })).toMatchObject({ changed: false });
  await expectMirrors(source, target);
  await bucket.close();
}, 120_000);
