/** A collection killed before each key that it writes or removes, and two at the same time. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cliEnv, gitOdb } from "../support/cli.js";
import { clonePerson, newPerson } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

/** GIT_ODB_TEST_STRIDE=1 kills before every step; the suite takes every third. */
const STRIDE = Number(process.env.GIT_ODB_TEST_STRIDE ?? 3);
const preload = join(import.meta.dirname, "../support/kill-at.cjs");

/** A bucket in which a run makes one pack of two, removes what was listed before, and lists what is new. */
function dueBucket() {
  const bucket = tempDir("bucket");
  const ann = newPerson(`odb::${bucket}?layout=loose`);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", "x.bin": randomBytes(9000), "a.txt": "1\n" });
  ann.git("push", "-q", "origin", "main");
  ann.git("checkout", "-q", "-b", "topic");
  ann.commit({ "y.bin": randomBytes(9000), "t.txt": "topic\n" });
  ann.git("push", "-q", "origin", "topic");
  ann.git("push", "-q", "origin", ":topic");
  expect(gitOdb(["gc", "--store", "origin", "-q"], { cwd: ann.dir })).toMatchObject({
    status: 0,
    stderr: "",
  });
  const then = new Date(Date.now() - 20 * 24 * 3600 * 1000);
  for (const name of readdirSync(join(bucket, "git-odb/gc"))) {
    utimesSync(join(bucket, "git-odb/gc", name), then, then);
  }
  ann.git("checkout", "-q", "main");
  ann.commit({ "a.txt": "2\n" });
  ann.git("push", "-q", "origin", "main");
  return { bucket, ann };
}

function copyOf(bucket: string): string {
  const copy = tempDir("copy");
  // Exact times, which cpSync does not keep.
  execFileSync("cp", ["-a", `${bucket}/.`, copy]);
  return copy;
}

function keysOf(bucket: string): string[] {
  const names = readdirSync(join(bucket, "objects"), { recursive: true, encoding: "utf8" });
  return names.filter((name) => /[0-9a-f]{38}/.test(name)).toSorted();
}

function tableOf(bucket: string): string {
  return readFileSync(join(bucket, "git-odb/refs"), "utf8").replace(/^gc .*\n/m, "");
}

/** Everything is there: a clone has it all, and finds nothing wrong. */
function expectWhole(bucket: string, commits: string): void {
  const clone = clonePerson(`odb::${bucket}`);
  expect(clone.try("fsck", "--full", "--strict")).toMatchObject({ status: 0 });
  expect(clone.git("rev-list", "--objects", "--all")).toBe(commits);
}

test("a collection can be killed at any moment, and the next one finishes", { timeout: 300_000 }, () => {
  const { bucket, ann } = dueBucket();
  const objects = ann.git("rev-list", "--objects", "main");
  const run = (copy: string, at: number, log = "") => {
    const env = cliEnv({
      NODE_OPTIONS: `--require=${preload}`,
      KILL_BUCKET: copy,
      KILL_AT: `${at}`,
      KILL_LOG: log,
    });
    return spawnSync("git-odb", ["gc", "--store", `odb::${copy}`, "-q"], { env, encoding: "utf8" });
  };
  const finished = copyOf(bucket);
  const log = join(tempDir("log"), "steps");
  expect(run(finished, 1_000_000, log)).toMatchObject({ status: 0, stderr: "" });
  const steps = readFileSync(log, "utf8").trim().split("\n");
  expect(steps.length).toBeGreaterThan(10);
  for (let at = steps.length; at > 0; at -= STRIDE) {
    const copy = copyOf(bucket);
    expect([at, run(copy, at).signal]).toEqual([at, "SIGKILL"]);
    expect([at, tableOf(copy)]).toEqual([at, tableOf(bucket)]);
    expectWhole(copy, objects);
    expect(run(copy, 0)).toMatchObject({ status: 0, stderr: "" });
    expect([steps[at - 1], keysOf(copy)]).toEqual([steps[at - 1], keysOf(finished)]);
  }
});

test("two collections at once leave what one would", async () => {
  const { bucket, ann } = dueBucket();
  const objects = ann.git("rev-list", "--objects", "main");
  const one = copyOf(bucket);
  expect(gitOdb(["gc", "--store", `odb::${one}`, "-q"])).toMatchObject({ status: 0 });
  const runs = [0, 1].map(
    () =>
      new Promise<number | null>((resolve) => {
        const args = ["gc", "--store", `odb::${bucket}`, "-q"];
        spawn("git-odb", args, { env: cliEnv(), stdio: "ignore" }).on("close", resolve);
      }),
  );
  const ends = await Promise.all(runs);
  expectWhole(bucket, objects);
  // One may find a pack gone that the other has removed while it read it: then it says so, and is to be run again.
  if (ends.some((status) => status !== 0)) {
    expect(gitOdb(["gc", "--store", `odb::${bucket}`, "-q"])).toMatchObject({ status: 0, stderr: "" });
  }
  expect(keysOf(bucket)).toEqual(keysOf(one));
});
