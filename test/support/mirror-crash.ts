/** A mirror run that is killed before or after any single write leaves a whole mirror, and the next run goes on. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { mirror } from "../../src/mirror/mirror.js";
import { startAnyS3 } from "./any-s3.js";
import { commandFolder } from "./cli.js";
import { type FaultyProxy, startFaultyProxy } from "./faulty-proxy.js";
import { git } from "./git.js";
import { addCommit, cloneMirror, expectMirrors, keysOf, sampleRepo, stateOf } from "./mirror.js";
import type { S3Server } from "./s3/index.js";
import { tempDir } from "./temp.js";

/** One way to be killed, at each write in turn. */
export interface CrashCase {
  readonly name: string;
  /** The mirror has an older state, which readers must not lose. */
  readonly isUpdate: boolean;
  /** `hang`: killed before the write is done; `hold-answer`: after it. */
  readonly kind: "hang" | "hold-answer";
  readonly stream: boolean;
  /** How many writes there are to be killed at. */
  readonly writes: number;
}

let s3: S3Server;
let proxy: FaultyProxy;

/** Registers the cases. */
export function crashSuite(cases: readonly CrashCase[]): void {
  beforeAll(async () => {
    s3 = await startAnyS3();
    proxy = await startFaultyProxy(s3.endpoint);
  });
  afterAll(async () => {
    await proxy.close();
    await s3.close();
  });
  describe("a run that is killed", () => {
    // A whole run of the command, and a clone, for each write: a busy machine takes its time.
    it.each(cases)("$name", killedAtEachWrite, 120_000);
  });
}

async function killedAtEachWrite({ isUpdate, kind, stream, writes }: CrashCase): Promise<void> {
  const { source, before, after } = twoStates();
  before();
  const old = stateOf(source);
  const base = newPrefix();
  if (isUpdate) expect((await mirror([{ source, target: s3.url(base) }])).failed).toEqual([]);
  after();
  const fresh = stateOf(source);
  let killed = 0;
  for (let nth = 1; ; nth++) {
    const prefix = newPrefix();
    await copyAll(base, prefix);
    if (!(await killAt(nth, kind, source, prefix, stream))) break;
    killed++;
    const target = s3.url(prefix);
    const published = await isPublished(target);
    if (isUpdate) expect(published).toBe(true);
    if (published) expect([old, fresh]).toContainEqual(stateOf(await cloneMirror(target)));
    expect((await mirror([{ source, target }], { graceMs: 0, stream })).failed).toEqual([]);
    await expectMirrors(source, target);
    // What killed runs have left, the next one takes away without a grace period.
    expect(await keysOf(target, "tmp/")).toEqual([]);
  }
  expect(killed).toBe(writes);
  expect(proxy.seen.filter(({ method }) => isWrite(method)).length).toBeGreaterThan(writes);
}

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
  stream: boolean,
): Promise<boolean> {
  proxy.clear();
  proxy.seen.splice(0);
  proxy.add({ method: /PUT|POST|DELETE/, path: ofMirror, nth, fault: { kind } });
  const options = ["-q", "--grace=0", ...(stream ? ["--stream"] : [])];
  const args = ["mirror", ...options, "--source", source, "--target", throughProxy(prefix)];
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

async function isPublished(target: string): Promise<boolean> {
  const bucket = await openBucket(target);
  const entry = await bucket.head("info/refs");
  await bucket.close();
  return entry !== undefined;
}
