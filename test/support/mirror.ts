/** Repositories to be mirrored, and the oracle: stock git clones the mirror over plain HTTP and finds all of it. */

import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { mirror } from "../../src/mirror/mirror.js";
import type { MirrorDone, MirrorOptions } from "../../src/mirror/options.js";
import { serveBucket } from "../../src/serve/server.js";
import { git, spawnGit, tempRepo, tryGit } from "./git.js";
import { tempDir } from "./temp.js";

/** A repository with branches, light and annotated tags (one of a tag, one of a tree), a merge and an odd ref. */
export function sampleRepo(...init: string[]): string {
  const sample = samples.get(init.join()) ?? makeSample(init);
  samples.set(init.join(), sample);
  const repo = tempDir("repo");
  cpSync(sample, repo, { recursive: true });
  return repo;
}

/** Made once in a test file: it takes some thirty gits. */
const samples = new Map<string, string>();

function makeSample(init: readonly string[]): string {
  const repo = tempRepo(...init);
  for (let i = 0; i < 6; i++) addCommit(repo, `file${i % 3}`, `line ${i}\n`.repeat(400 + i));
  git(["switch", "-qc", "topic"], { cwd: repo });
  addCommit(repo, "folder-topic", "topic\n");
  git(["switch", "-q", "main"], { cwd: repo });
  addCommit(repo, "file9", "nine\n");
  git(["merge", "-q", "--no-ff", "-m", "merged", "topic"], { cwd: repo });
  git(["tag", "light"], { cwd: repo });
  git(["tag", "-am", "one", "v1", "HEAD~2"], { cwd: repo });
  git(["tag", "-am", "a tag of a tag", "v1-again", "v1"], { cwd: repo });
  git(["tag", "-am", "a tree", "tree", "HEAD^{tree}"], { cwd: repo });
  git(["update-ref", "refs/notes/odd/ref", "HEAD~3"], { cwd: repo });
  return repo;
}

/** One more commit on the branch that is checked out. */
export function addCommit(repo: string, file: string, content: string): string {
  writeFileSync(join(repo, file), content);
  git(["add", "."], { cwd: repo });
  git(["commit", "-qm", `change ${file}`], { cwd: repo });
  return git(["rev-parse", "HEAD"], { cwd: repo });
}

/** Mirrors one pair. @throws its error */
export async function run(source: string, target: string, options: MirrorOptions = {}): Promise<MirrorDone> {
  const { done, failed } = await mirror([{ source, target }], options);
  for (const { error } of failed) throw error;
  const [only] = done;
  if (only === undefined) throw new Error("nothing was done");
  return only;
}

/** The keys of a bucket that begin so. */
export async function keysOf(target: string, prefix = ""): Promise<string[]> {
  const bucket = await openBucket(target);
  const keys: string[] = [];
  for await (const { key } of bucket.list(prefix)) keys.push(key);
  await bucket.close();
  return keys;
}

/** The files below a folder whose bytes hold the text. */
export function filesWith(folder: string, text: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  if (paths.length === 0) throw new Error(`${folder} is empty`);
  return paths.filter((path) => readFileSync(path).includes(text));
}

/** All ids that the refs reach, and the refs. */
export function stateOf(repo: string): { objects: string; refs: string } {
  const objects = git(["rev-list", "--objects", "--all"], { cwd: repo }).split("\n");
  const ids = objects.map((line) => line.split(" ", 1)[0]).sort();
  const refs = git(["for-each-ref", "--format=%(objectname) %(*objectname) %(refname)"], { cwd: repo });
  return { objects: ids.join("\n"), refs };
}

/** Where HEAD points, or its object when it is detached. */
export function headOf(repo: string): string {
  const symbolic = tryGit(["symbolic-ref", "-q", "HEAD"], { cwd: repo });
  return symbolic.status === 0 ? symbolic.stdout.trim() : git(["rev-parse", "HEAD"], { cwd: repo });
}

/** Clones the mirror at a bucket URL over plain HTTP, checks it with fsck, and gives the clone. */
export async function cloneMirror(target: string): Promise<string> {
  const bucket = await openBucket(target);
  await using server = await serveBucket(bucket, { readOnly: true });
  const clone = join(tempDir("clone"), "c");
  // A first copy that was killed before its HEAD is a clone all the same; newer gits then have advice to give.
  const quiet = ["-c", "advice.defaultBranchName=false"];
  const done = await spawnGit([...quiet, "clone", "-q", "--mirror", server.url, clone]);
  const harmless =
    /^warning: (?:You appear to have cloned an empty repository.|remote HEAD refers to nonexistent ref.*)\n/;
  expect(done.stderr.replace(harmless, "")).toBe("");
  expect(done.status).toBe(0);
  expect(git(["fsck", "--strict", "--no-dangling", "--no-progress"], { cwd: clone })).not.toMatch(
    /missing|broken|error/,
  );
  await bucket.close();
  return clone;
}

/** A clone of the mirror has the refs, the objects and the HEAD of the source. */
export async function expectMirrors(source: string, target: string): Promise<void> {
  const clone = await cloneMirror(target);
  expect(stateOf(clone)).toEqual(stateOf(source));
  expect(headOf(clone)).toBe(headOf(source));
}
