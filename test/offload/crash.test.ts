/** Each verb killed or interrupted before each of its steps: git is whole afterwards, and the next run finishes the job. */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { cliEnv, commandFolder, gitOdb } from "../support/cli.js";
import { git } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import {
  bigBlobs,
  commit,
  expectOk,
  type Fixture,
  fsck,
  keptPacks,
  missing,
  pushedFixture,
  useCommands,
  writeBig,
} from "./fixture.js";

/** GIT_ODB_TEST_STRIDE=1 kills before every step; the suite takes some of them, and the last two. */
const everyStep = process.env.GIT_ODB_TEST_STRIDE;
const preload = join(import.meta.dirname, "../support/kill-at.cjs");

let source: Fixture;

beforeAll(() => {
  useCommands();
  // A pack, another pack, loose objects; and a commit that nobody else has.
  source = pushedFixture({ size: 4000 });
  const { repo } = source;
  git(["config", "gc.auto", "0"], { cwd: repo });
  git(["config", "maintenance.auto", "false"], { cwd: repo });
  git(["gc", "-q"], { cwd: repo });
  for (const name of ["packed", "loose"]) {
    writeBig(repo, `${name}.bin`, 4000);
    commit(repo, name);
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    git(["push", "-q", "origin", "main"], { cwd: repo });
    if (name === "packed") git(["repack", "-q", "-d"], { cwd: repo });
  }
  git(["branch", "-q", "published"], { cwd: repo });
  for (const name of ["mine", "mine-too", "mine-three"]) writeBig(repo, `${name}.bin`, 4000);
  commit(repo, "only here");
});

/** A verb, from where it starts, and what is true once it is through. */
interface Verb {
  readonly args: readonly string[];
  readonly stride: number;
  readonly prepare?: (repo: string) => void;
  readonly done: (place: Fixture) => void;
}

const verbs: Readonly<Record<string, Verb>> = {
  offload: {
    args: ["offload", "-q"],
    stride: 11,
    done: ({ repo }) => expect(missing(repo)).toEqual(bigBlobs(repo, "published")),
  },
  fetch: {
    args: ["fetch", "-q", "main"],
    stride: 2,
    prepare: (repo) => expectOk(gitOdb(["offload", "-q"], { cwd: repo })),
    done: ({ repo }) => expect(missing(repo)).toEqual([]),
  },
  gc: {
    args: ["gc", "-q", "--all"],
    stride: 7,
    prepare(repo) {
      expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
      for (const rev of ["HEAD~1", "HEAD~4", "HEAD~5"])
        expectOk(gitOdb(["fetch", "-q", "--tip", rev], { cwd: repo }));
    },
    done: ({ repo }) => {
      expect(missing(repo)).toEqual([]);
      // One of blobs, one of the promise.
      const packs = readdirSync(join(repo, ".git/objects/pack"));
      expect(packs.filter((file) => file.endsWith(".promisor"))).toHaveLength(2);
    },
  },
  push: {
    args: ["push", "-q"],
    stride: 9,
    done({ repo, store, origin }) {
      const blobs = bigBlobs(repo);
      const refs = git(["for-each-ref", "--format=%(refname:lstrip=3)", "refs/odbs/big"], { cwd: origin });
      expect(refs.split("\n").sort()).toEqual(blobs);
      for (const oid of blobs) expect(git(["hash-object", keyOf(store, oid)])).toBe(oid);
    },
  },
};

describe.each(Object.entries(verbs))("%s", (_, verb) => {
  it.each([
    ["a SIGKILL", ["SIGKILL"]],
    ["a signal that it hears", ["SIGINT", "SIGTERM"]],
  ])(
    "loses nothing and leaves nothing behind, wherever it gets %s",
    (_, signals) => {
      const start = copyOf(source);
      verb.prepare?.(start.repo);
      const last = countSteps(copyOf(start), verb);
      expect(last).toBeGreaterThan(4);
      for (const [n, at] of stopPoints(last, verb.stride).entries()) {
        const signal = signals[n % signals.length] ?? "";
        const place = copyOf(start);
        const { repo } = place;
        const stopped = run(repo, verb, { KILL_AT: String(at), KILL_BY: signal });
        if (signal === "SIGKILL") expect([at, stopped.signal]).toEqual([at, signal]);
        else expect([at, stopped.status, stopped.stderr]).toEqual([at, signal === "SIGTERM" ? 143 : 130, ""]);
        expect([at, fsck(repo)]).toEqual([at, ""]);
        for (const oid of missing(repo)) expect(existsSync(keyOf(place.store, oid))).toBe(true);
        const again = gitOdb(verb.args, { cwd: repo });
        expect([at, again.status, again.stderr]).toEqual([at, 0, ""]);
        expect([at, fsck(repo), leftovers(repo)]).toEqual([at, "", []]);
        verb.done(place);
      }
    },
    300_000,
  );
});

function stopPoints(last: number, stride: number): number[] {
  const every = Number(everyStep ?? stride);
  return Array.from({ length: last }, (_, n) => n + 1).filter((at) => at % every === 0 || at > last - 2);
}

function countSteps({ repo }: Fixture, verb: Verb): number {
  const log = join(tempDir(), "steps");
  expect(run(repo, verb, { KILL_AT: "1000000", KILL_LOG: log }).status).toBe(0);
  return readFileSync(log, "utf8").trim().split("\n").length;
}

/** With a store and a remote of its own. */
function copyOf(place: Fixture): Fixture {
  const dir = tempDir("copy");
  const copy = { repo: join(dir, "repo"), origin: join(dir, "origin"), store: join(dir, "store") };
  for (const part of ["repo", "origin", "store"] as const)
    cpSync(place[part], copy[part], { recursive: true });
  for (const [key, value] of [
    ["remote.origin.url", copy.origin],
    ["odb.big.url", `file://${copy.store}`],
    ["remote.odb-big.url", `odb::file://${copy.store}`],
  ] as const)
    git(["config", "--replace-all", key, value], { cwd: copy.repo });
  return copy;
}

function keyOf(store: string, oid: string): string {
  return join(store, "objects", oid.slice(0, 2), oid);
}

/** Not by git: it must be our process that is stopped, and its end that we wait for. */
function run(repo: string, verb: Verb, how: Record<string, string>) {
  const env = cliEnv({ NODE_OPTIONS: `--require ${preload}`, ...how });
  return spawnSync(join(commandFolder(), "git-odb"), verb.args, { cwd: repo, env, encoding: "utf8" });
}

/** Of ours, and packs without an index. */
function leftovers(repo: string): string[] {
  const objects = join(repo, ".git/objects");
  const packs = readdirSync(join(objects, "pack"));
  const whole = new Set(packs.filter((file) => file.endsWith(".idx")).map((file) => file.slice(0, -4)));
  return [
    ...readdirSync(objects).filter((name) => /^(?:git-odb|tmp)/.test(name)),
    ...keptPacks(repo),
    ...packs.filter((file) => !file.endsWith(".keep") && !whole.has(file.replace(/\.[a-z]+$/, ""))),
    ...readdirSync(join(repo, ".git")).filter((name) => name.startsWith("gc.pid")),
    ...readdirSync(join(repo, ".git/odb")).filter((name) => name.startsWith("gc.")),
  ];
}
