/** `git odb mirror` on the command line, and docs/mirror.md: its commands do what it says. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv, gitOdb } from "../support/cli.js";
import { git } from "../support/git.js";
import { addCommit, expectMirrors, sampleRepo, stateOf } from "../support/mirror.js";
import { tempDir } from "../support/temp.js";

describe("git odb mirror", () => {
  it("says what it did, a line for each repository, and nothing with -q", () => {
    const source = sampleRepo();
    const target = join(tempDir("out"), "t");
    const args = ["mirror", "--source", source, "--target", target];
    const first = gitOdb(args);
    expect([first.status, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toMatch(/^\S+ -> \S+: 7 refs, \d+ objects, \d+\.\d\d KiB\n$/);
    expect(gitOdb(args).stdout).toBe(`${source} -> ${target}: up to date\n`);
    addCommit(source, "new", "new\n");
    expect(gitOdb([...args, "-q"])).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  it("reports one of several that fails, and does the others", async () => {
    const [one, other] = [sampleRepo(), sampleRepo()];
    const out = tempDir("out");
    const pairs = [one, "/no/such", other].flatMap((source, i) => [
      "--source",
      source,
      "--target",
      join(out, `${i}`),
    ]);
    const done = gitOdb(["mirror", ...pairs, "--json"]);
    expect([done.status, done.stderr]).toEqual([
      1,
      "error: /no/such is no git repository: there is no such directory\n",
    ]);
    const events = done.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.filter(({ event }) => event === "start").length).toBe(3);
    expect(
      events
        .filter(({ event }) => event === "done")
        .map(({ source }) => source)
        .sort(),
    ).toEqual([one, other].sort());
    expect(events.find(({ event }) => event === "failed")).toMatchObject({
      source: "/no/such",
      code: "config",
    });
    for (const [i, source] of [
      [0, one],
      [2, other],
    ] as const) {
      await expectMirrors(source, join(out, `${i}`));
    }
  });

  it.each([
    [["--source", "a"], /come in pairs/],
    [[], /name a --source/],
    [["--source", "a", "--target", "t", "--source", "b", "--target", "t"], /same --target/],
    [["--source", "a", "--target", "t", "--layout", "raw"], /packs or loose/],
    [["--source", "a", "--target", "t", "--grace", "soon"], /24h/],
    [["--source", "a", "--target", "t", "--workers", "0"], /1 to 999/],
  ])("refuses %j", (args, why) => {
    const done = gitOdb(["mirror", ...args], { cwd: tempDir("cwd") });
    expect([done.status, done.stdout]).toEqual([129, ""]);
    expect(done.stderr).toMatch(why);
  });
});

it("docs/mirror.md: a person can type its commands", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/mirror.md"), "utf8");
  const commands = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, command]) => command);
  expect(commands.length).toBe(5);
  const root = tempDir("docs");
  for (const name of ["project.git", "other.git"]) {
    mkdirSync(join(root, "source"), { recursive: true });
    cpSync(sampleRepo(), join(root, "source", name), { recursive: true });
  }
  const script = commands
    .join("")
    .replaceAll("https://git.example.com", join(root, "source"))
    .replaceAll("s3://mirrors", join(root, "bucket"))
    .replaceAll("/srv/www", join(root, "www"))
    .replace("--read-only", "--port 0 --read-only")
    .replace(/^(git odb serve.*) &$/m, "$1 >url 2>/dev/null & until [ -s url ]; do sleep 0.1; done")
    .replace("http://127.0.0.1:8080", "$(grep -o 'http://[0-9.:]*' url)");
  const printed = execFileSync("bash", ["-euc", `trap 'kill $!' EXIT\n${script}`], {
    cwd: root,
    env: cliEnv(),
    encoding: "utf8",
  });
  expect(printed.match(/up to date/g)?.length).toBe(2);
  const clone = join(root, "project");
  expect(git(["fsck", "--strict"], { cwd: clone })).toBe("");
  expect(git(["rev-parse", "HEAD"], { cwd: clone })).toBe(
    git(["rev-parse", "main"], { cwd: join(root, "source/project.git") }),
  );
  expect(existsSync(join(root, "bucket/other-releases/info/refs"))).toBe(true);
  expect(stateOf(clone).objects.length).toBeGreaterThan(0);
});
