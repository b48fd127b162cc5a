/** A mirror run that is killed before or after any single write leaves a whole mirror, and the next run goes on. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { mirror } from "../../src/mirror/mirror.js";
import { commandFolder } from "../support/cli.js";
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.js";
import { git } from "../support/git.js";
import { addCommit, cloneMirror, expectMirrors, sampleRepo, stateOf } from "../support/mirror.js";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";

let s3: EmbeddedS3;
let proxy: FaultyProxy;
beforeAll(async () => {
  s3 = await startS3();
  Object.assign(process.env, s3.env);
  proxy = await startFaultyProxy(s3.endpoint);
});
afterAll(async () => {
  await proxy.close();
  await s3.close();
});

/** A repository that can be set back to what it was, under the same path. */
function twoStates(): { source: string; before(): void; after(): void } {
  const source = join(tempDir("source"), "r.git");
  const work = sampleRepo();
  git(["clone", "-q", "--mirror", "--no-local", work, source]);
  addCommit(work, "new", "new\n");
  git(["branch", "-qD", "topic"], { cwd: work });
  git(["switch", "-qc", "trunk"], { cwd: work });
  const states = [source, work].map((repo) => [
    git(["for-each-ref", "--format=%(objectname) %(refname)"], { cwd: repo }),
    git(["symbolic-ref", "HEAD"], { cwd: repo }),
  ]);
  git(["fetch", "-q", work, "trunk"], { cwd: source });
  const become = ([refs = "", head = ""]: string[] = []) => {
    const old = git(["for-each-ref", "--format=delete %(refname)"], { cwd: source });
    git(["update-ref", "--stdin"], { cwd: source, input: `${old}\n` });
    const lines = refs.split("\n").map((line) => line.replace(/^(\S+) (\S+)$/, "create $2 $1"));
    git(["update-ref", "--stdin"], { cwd: source, input: `${lines.join("\n")}\n` });
    git(["symbolic-ref", "HEAD", head], { cwd: source });
  };
  return { source, before: () => become(states[0]), after: () => become(states[1]) };
}

let count = 0;
const newPrefix = () => `crash-${++count}`;
const throughProxy = (prefix: string) => s3.url(prefix, { endpoint: proxy.url });

/** Copies all keys below one prefix to another. */
async function copyAll(from: string, to: string): Promise<void> {
  const bucket = await openBucket(s3.url(""));
  for await (const { key } of bucket.list(`${from}/`)) await bucket.copy(key, to + key.slice(from.length));
  await bucket.close();
}

const isWrite = (method: string) => method !== "GET" && method !== "HEAD";
const ofMirror = /^(?!.*git-odb-probe)/;

/** Runs the command until its nth write is on the wire (`hang`) or done (`hold-answer`), and kills it there. */
async function killAt(
  nth: number,
  kind: "hang" | "hold-answer",
  source: string,
  prefix: string,
): Promise<boolean> {
  proxy.clear();
  proxy.seen.splice(0);
  proxy.add({ method: /PUT|POST|DELETE/, path: ofMirror, nth, fault: { kind } });
  const args = ["mirror", "-q", "--grace=0", "--source", source, "--target", throughProxy(prefix)];
  const child = spawn(join(commandFolder(), "git-odb"), args, { stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(child, "exit");
  const struck = () =>
    proxy.seen.some(({ fault, answered }) => fault === kind && (kind === "hang" || answered));
  let done = false;
  void exited.then(() => {
    done = true;
  });
  while (!done && !struck()) await new Promise((wait) => setTimeout(wait, 5));
  child.kill("SIGKILL");
  await exited;
  proxy.clear();
  return struck();
}

// Killed after one write is killed before the next: a first copy, which nobody reads yet, is killed only before.
describe("a run that is killed", () => {
  it.each([
    ["an update, before each write", true, "hang"],
    ["an update, after each write", true, "hold-answer"],
    ["a first copy, before each write", false, "hang"],
  ] as const)("%s", async (_, isUpdate, kind) => {
    const { source, before, after } = twoStates();
    before();
    const old = stateOf(source);
    const base = newPrefix();
    if (isUpdate) expect((await mirror([{ source, target: s3.url(base) }])).failed).toEqual([]);
    after();
    const fresh = stateOf(source);
    let writes = 0;
    for (let nth = 1; ; nth++) {
      const prefix = newPrefix();
      await copyAll(base, prefix);
      if (!(await killAt(nth, kind, source, prefix))) break;
      writes++;
      const target = s3.url(prefix);
      const published = await isPublished(target);
      if (isUpdate) expect(published).toBe(true);
      if (published) expect([old, fresh]).toContainEqual(stateOf(await cloneMirror(target)));
      expect((await mirror([{ source, target }], { graceMs: 0 })).failed).toEqual([]);
      await expectMirrors(source, target);
    }
    // Claim (only the first time), pack, index, table of packs, refs, HEAD, record; or what was left of them.
    expect(writes).toBe(isUpdate ? 6 : 7);
    expect(proxy.seen.filter(({ method }) => isWrite(method)).length).toBeGreaterThan(writes);
  });
});

async function isPublished(target: string): Promise<boolean> {
  const bucket = await openBucket(target);
  const entry = await bucket.head("info/refs");
  await bucket.close();
  return entry !== undefined;
}
