/** Offload killed before each of its steps: git is whole afterwards, and the next run finishes the job. */

import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { cliEnv, commandFolder, gitOdb } from "../support/cli.js";
import { git } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import {
  bigBlobs,
  commit,
  expectOk,
  fsck,
  keptPacks,
  missing,
  pushedFixture,
  useCommands,
  writeBig,
} from "./fixture.js";

/** GIT_ODB_TEST_STRIDE=1 kills before every step; the suite takes every ninth, and the last two. */
const STRIDE = Number(process.env.GIT_ODB_TEST_STRIDE ?? 9);
const preload = join(import.meta.dirname, "../support/kill-at.cjs");

let source = "";
let steps = 0;

beforeAll(() => {
  useCommands();
  // A pack, another pack, loose objects; and a commit that nobody else has.
  source = pushedFixture({ size: 4000 }).repo;
  git(["gc", "-q"], { cwd: source });
  for (const name of ["packed", "loose"]) {
    writeBig(source, `${name}.bin`, 4000);
    commit(source, name);
    expectOk(gitOdb(["push", "-q"], { cwd: source }));
    git(["push", "-q", "origin", "main"], { cwd: source });
    if (name === "packed") git(["repack", "-q", "-d"], { cwd: source });
  }
  git(["branch", "-q", "published"], { cwd: source });
  writeBig(source, "mine.bin", 4000);
  commit(source, "only here");
  const log = join(tempDir(), "steps");
  expect(killedOffload(copyOf(source), 1_000_000, log).status).toBe(0);
  steps = readFileSync(log, "utf8").trim().split("\n").length;
});

it("loses nothing and leaves nothing behind, wherever it is killed", () => {
  expect(steps).toBeGreaterThan(40);
  const gone = bigBlobs(source, "published");
  // The last steps too: then there is nothing left to drop.
  for (const at of killPoints()) {
    const repo = copyOf(source);
    expect([at, killedOffload(repo, at).signal]).toEqual([at, "SIGKILL"]);
    expect([at, fsck(repo)]).toEqual([at, ""]);
    for (const oid of missing(repo)) expect(gone).toContain(oid);
    const again = gitOdb(["offload", "-q"], { cwd: repo });
    expect([at, again.status, again.stderr]).toEqual([at, 0, ""]);
    expect([at, missing(repo), fsck(repo)]).toEqual([at, gone, ""]);
    expect([at, leftovers(repo)]).toEqual([at, []]);
  }
}, 300_000);

function killPoints(): number[] {
  return Array.from({ length: steps }, (_, n) => n + 1).filter((at) => at % STRIDE === 0 || at > steps - 2);
}

function copyOf(repo: string): string {
  const copy = join(tempDir("copy"), "repo");
  cpSync(repo, copy, { recursive: true });
  return copy;
}

/** Not by git: it must be our process that is killed, and its end that we wait for. */
function killedOffload(repo: string, at: number, log = "") {
  const env = cliEnv({ NODE_OPTIONS: `--require ${preload}`, KILL_AT: String(at), KILL_LOG: log });
  return spawnSync(join(commandFolder(), "git-odb"), ["offload", "-q"], { cwd: repo, env });
}

/** Of ours, and packs without an index. */
function leftovers(repo: string): string[] {
  const objects = join(repo, ".git/objects");
  const packs = readdirSync(join(objects, "pack"));
  const whole = new Set(packs.filter((file) => file.endsWith(".idx")).map((file) => file.slice(0, -4)));
  return [
    ...readdirSync(objects).filter((name) => name.startsWith("git-odb")),
    ...keptPacks(repo),
    ...packs.filter((file) => !file.endsWith(".keep") && !whole.has(file.replace(/\.[a-z]+$/, ""))),
    ...readdirSync(join(repo, ".git")).filter((name) => name.startsWith("gc.pid")),
  ];
}
