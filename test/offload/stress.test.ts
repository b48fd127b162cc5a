/** Two verbs at once on one repository, in random pairs: git finds nothing wrong, and nothing is lost. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, it } from "vitest";
import { cliEnv, gitOdb } from "../support/cli.js";
import { git, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import {
  commit,
  expectOk,
  type Fixture,
  fsck,
  missing,
  pushedFixture,
  useCommands,
  writeBig,
} from "./fixture.js";

/** Another seed, more rounds: GIT_ODB_TEST_SEED=…, GIT_ODB_TEST_RUNS=100. */
const seed = Number(process.env.GIT_ODB_TEST_SEED ?? 20_240_517);
const rounds = Number(process.env.GIT_ODB_TEST_RUNS ?? 8);

beforeAll(useCommands);

const ours = {
  fetch: ["odb", "fetch", "-q"],
  push: ["odb", "push", "-q"],
  offload: ["odb", "offload", "-q"],
  gc: ["odb", "gc", "-q", "--all"],
};

const gits = {
  "git gc": ["gc", "-q"],
  "git gc --prune=now": ["gc", "-q", "--prune=now"],
  "git repack": ["repack", "-q", "-a", "-d"],
  "git fetch": ["fetch", "-q", "origin"],
  "git checkout": ["checkout", "-q", "-f", "HEAD~2"],
  "git log": ["log", "-p", "--binary", "--all"],
};

const verbs: Record<string, readonly string[]> = { ...ours, ...gits };

/** What a verb says when another is in its way; it may then be run again. */
const inTheWay =
  /at work on the packs|gc is already running|index\.lock|cannot lock ref|run this again|Unable to create '.*lock'/;

it(`nothing is lost (seed ${seed}, ${rounds} rounds)`, async () => {
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const fixture = pushedFixture({ size: 6000 });
  const { repo } = fixture;
  git(["config", "gc.auto", "0"], { cwd: repo });
  const other = join(tempDir("other"), "other");
  git(["clone", "-q", fixture.origin, other]);
  for (let round = 0; round < rounds; round++) {
    const names = [pick(Object.keys(ours)), pick(Object.keys(verbs))];
    // git itself warns of this gc beside whatever writes: a new ref's object is not reachable yet.
    if (names.includes("push") && names[1]?.endsWith("now")) names[1] = "git gc";
    const what = `seed ${seed}, round ${round}: ${names.join(" beside ")}`;
    prepare(fixture, other, round, random() < 0.5);
    const needed = reachable(repo);
    const ended = await Promise.all(
      names.map(async (name, at) => {
        if (at === 1) await sleep(random() * 120);
        return await run(repo, verbs[name] ?? []);
      }),
    );
    for (const [at, { status, stderr }] of ended.entries()) {
      if (status !== 0)
        expect([what, names[at], stderr]).toEqual([what, names[at], expect.stringMatching(inTheWay)]);
    }
    expect([what, fsck(repo)]).toEqual([what, ""]);
    expect([what, lost(fixture, needed)]).toEqual([what, []]);
    git(["checkout", "-q", "-f", "main"], { cwd: repo });
  }
  expectOk(gitOdb(["fetch", "-q", "--all"], { cwd: repo }));
  expect([missing(repo, "--branches", "--remotes"), fsck(repo)]).toEqual([[], ""]);
}, 300_000);

/** Something new here, on the remote, and something to bring back or to drop. */
function prepare({ repo, origin }: Fixture, other: string, round: number, drop: boolean): void {
  writeBig(other, `other${round}.bin`, 3000);
  commit(other, `other ${round}`);
  git(["push", "-q", origin, `HEAD:refs/heads/other${round}`], { cwd: other });
  writeBig(repo, `new${round}.bin`, 3000);
  writeFileSync(join(repo, "small.txt"), `round ${round}\n`);
  commit(repo, `round ${round}`);
  if (round % 2 === 0) {
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    git(["push", "-q", "origin", "main"], { cwd: repo });
  }
  // Only staged: nothing but the index reaches it.
  writeBig(repo, "staged.bin", 3000);
  git(["add", "-A"], { cwd: repo });
  if (drop) expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  else expectOk(gitOdb(["fetch", "-q", "--tip", "HEAD~3"], { cwd: repo }));
}

async function run(cwd: string, args: readonly string[]): Promise<{ status: number; stderr: string }> {
  const child = spawn("git", args, { cwd, env: cliEnv(), stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [status] = await once(child, "close");
  return { status: (status as number | null) ?? -1, stderr };
}

/** Every object that a ref, the reflog or the index reaches, here or not; but for promises, which are replaced. */
function reachable(repo: string): string[] {
  const from = ["--exclude=refs/odbs-promise/*", "--all", "--reflog", "--indexed-objects"];
  const args = ["rev-list", "--objects", "--no-object-names", "--missing=print", ...from];
  const text = git(args, { cwd: repo, env: { GIT_NO_LAZY_FETCH: "1" } });
  return text.split("\n").map((line) => line.replace(/^\?/, ""));
}

/** Those of the objects that are neither here nor in the store. */
function lost({ repo, store }: Fixture, oids: readonly string[]): string[] {
  const { stdout } = tryGit(["cat-file", "--batch-check=%(objectname)"], {
    cwd: repo,
    env: { GIT_NO_LAZY_FETCH: "1" },
    input: `${oids.join("\n")}\n`,
  });
  const absent = [...stdout.matchAll(/^([0-9a-f]+) missing$/gm)].map(([, oid = ""]) => oid);
  return absent.filter((oid) => {
    const key = join(store, "objects", oid.slice(0, 2), oid);
    return !existsSync(key) || git(["hash-object", "--stdin"], { input: readFileSync(key) }) !== oid;
  });
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
