/** A server with an ODB, for tests of clones. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { gitOdb } from "./cli.js";
import { git, tempRepo } from "./git.js";

/** Bytes that do not compress, always the same for a seed. */
export function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0, state = seed; at < size; at++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    bytes[at] = state >> 16;
  }
  return bytes;
}

/** A repository, its bare twin that others clone, and the folder of its ODB "media". */
export interface CloneServer {
  readonly work: string;
  readonly server: string;
  readonly store: string;
}

/** A repository of three commits with an ODB, pushed to a bare one below `root` with its metadata refs. */
export function makeCloneServer(root: string, name: string, ...initArgs: string[]): CloneServer {
  const work = tempRepo(...initArgs);
  const server = join(root, name);
  const store = join(root, initArgs.length === 0 ? "store" : `${name}.store`);
  const run = (...args: string[]) => expect(gitOdb(args, { cwd: work })).toMatchObject({ status: 0 });
  run("init", "-q", "media", store);
  run("track", "-q", "media", "*.bin");
  for (const n of [1, 2, 3]) {
    writeFileSync(join(work, "big.bin"), noise(100_000, n));
    writeFileSync(join(work, `small${n}.txt`), `${n}\n`);
    git(["add", "-A"], { cwd: work });
    git(["commit", "-qm", `${n}`], { cwd: work });
    if (n === 2) git(["branch", "side"], { cwd: work });
  }
  git(["tag", "-am", "one", "v1", "HEAD~2"], { cwd: work });
  run("put", "-q", "media", "HEAD:big.bin", "HEAD~1:big.bin", "HEAD~2:big.bin");
  run("init", "-q", "--publish", "media");
  git(["clone", "-q", "--bare", work, server]);
  git(["remote", "remove", "origin"], { cwd: server });
  git(["remote", "add", "origin", server], { cwd: work });
  git(["push", "-q", "origin", "refs/odbs/*:refs/odbs/*"], { cwd: work });
  git(["config", "uploadpack.allowFilter", "true"], { cwd: server });
  return { work, server, store };
}
