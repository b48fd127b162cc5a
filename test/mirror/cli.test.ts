/** `git odb mirror` on the command line, and docs/mirror.md: its commands do what it says. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv, gitOdb, runOdb } from "../support/cli.js";
import { git } from "../support/git.js";
import { startGitHttp } from "../support/git-http.js";
import { startLfsServer } from "../support/lfs-server.js";
import { addCommit, expectMirrors, filesWith, sampleRepo, stateOf } from "../support/mirror.js";
import { startS3 } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";
import { startOnTerminal } from "../support/terminal.js";
import { lacks } from "../support/tools.js";

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

  it("prints a line of JSON for each event, and no password", async () => {
    const root = tempDir("root");
    const source = join(root, "r");
    cpSync(sampleRepo(), source, { recursive: true });
    await using server = await startGitHttp(root, { basicAuth: "alice:sesame" });
    const target = tempDir("out");
    const run = (password: string) =>
      runOdb([
        "mirror",
        "--json",
        "--source",
        `${server.url.replace("://", `://alice:${password}@`)}/r`,
        "--target",
        target,
      ]);
    const [wrong, right] = [await run("open"), await run("sesame")];
    const events = (text: string) =>
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    const names = { source: `${server.url}/r`, target };
    expect(wrong.status).toBe(1);
    expect(events(wrong.stdout)).toEqual([
      { event: "start", ...names },
      { event: "failed", ...names, code: "denied", message: expect.stringContaining(names.source) },
    ]);
    expect([right.status, right.stderr]).toEqual([0, ""]);
    expect(events(right.stdout)).toEqual([
      { event: "start", ...names },
      {
        event: "done",
        ...names,
        changed: true,
        refs: 7,
        objects: expect.any(Number),
        bytes: expect.any(Number),
        lfs: { copied: 0, bytes: 0, missing: 0 },
      },
    ]);
    for (const { stdout, stderr } of [wrong, right]) expect(stdout + stderr).not.toMatch(/sesame|open/);
    expect(filesWith(target, "sesame")).toEqual([]);
  });

  it.each([1, 3])("--workers %i: so many repositories at a time", async (workers) => {
    const folder = tempDir("hook");
    // As many as may are waited for; each notes how many are there with it.
    const hook = `#!/bin/sh
      mkdir '${folder}'/at-$$
      for n in $(seq 100); do [ $(ls -d '${folder}'/at-* | wc -l) -lt ${workers} ] || break; sleep 0.1; done
      ls -d '${folder}'/at-* | wc -l >>'${folder}'/seen
      "$@"; sleep 0.3; rmdir '${folder}'/at-$$\n`;
    writeFileSync(join(folder, "hook"), hook, { mode: 0o755 });
    writeFileSync(join(folder, "config"), `[uploadpack]\n\tpackObjectsHook = ${folder}/hook\n`);
    const pairs = [0, 1, 2].flatMap((n) => ["--source", sampleRepo(), "--target", join(folder, `out${n}`)]);
    const done = await runOdb(["mirror", `--workers=${workers}`, ...pairs], {
      env: { GIT_CONFIG_GLOBAL: join(folder, "config") },
    });
    expect([done.status, done.stderr]).toEqual([0, ""]);
    const seen = readFileSync(join(folder, "seen"), "utf8").trim().split("\n").map(Number);
    expect(seen.length).toBe(3);
    expect(Math.max(...seen)).toBe(workers);
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

describe.skipIf(lacks("script") || process.platform !== "linux")("on a terminal", () => {
  // At once, where people wait for a second first.
  const now = { GIT_PROGRESS_DELAY: "0" };
  const onTerminal = async (env: NodeJS.ProcessEnv, ...args: string[]) => {
    const command = ["git", "odb", "mirror", ...args];
    const { status, shown } = await startOnTerminal(command, { env: { ...now, ...env } }).ended;
    expect([status, shown]).toEqual([0, expect.any(String)]);
    return shown;
  };

  it("shows objects and bytes that come and go, and LFS objects, line by line; nothing of it with -q", async () => {
    const s3 = await startS3();
    await using lfs = await startLfsServer();
    const source = sampleRepo();
    addCommit(source, "large.bin", lfs.add(Buffer.alloc(3_000_000, 7)));
    const args = ["--source", source, "--target", s3.url("t"), "--lfs-url", lfs.url];
    const shown = await onTerminal(s3.env, ...args);
    const rate = "[0-9.]+ [KM]iB \\| [0-9.]+ [KMG]iB/s";
    for (const task of ["Receiving objects: \\d+", "Writing objects: \\d+", "Copying LFS objects: 1"]) {
      expect(shown).toMatch(new RegExp(`^(?:[^\\n]*\\r)?${task}, ${rate}, done\\. *\\r\\n`, "m"));
    }
    // They are counted when git is through, sooner or later than the first byte goes.
    expect(shown).toMatch(/(?:Receiving|Writing) objects: 32, [^\r\n]*, done\./);
    // Each is through before the next begins.
    expect(shown.match(/done\./g)?.length).toBe(3);
    expect(shown).toMatch(/\n\/[^\r\n]+ -> s3:\/\/test\/t: 7 refs, [^\r\n]*\r\n$/);
    addCommit(source, "more", "more\n");
    expect(await onTerminal(s3.env, ...args, "-q")).toBe("");
    await s3.close();
  });

  it("shows how many of several are through, and a line for each that is or is not", async () => {
    const sources = [sampleRepo(), "/no/such", sampleRepo()];
    const pairs = sources.flatMap((source) => ["--source", source, "--target", join(tempDir("out"), "t")]);
    const { status, shown } = await startOnTerminal(["git", "odb", "mirror", ...pairs], { env: now }).ended;
    expect(status).toBe(1);
    expect(shown.match(/(?:^|[\r\n])\/\S+ -> \S+: 7 refs, [^\r\n]*\r\n/g)?.length).toBe(2);
    expect(shown).toMatch(
      /(?:^|[\r\n])Mirroring: 100% \(3\/3\), done\. *\r\nerror: \/no\/such [^\r\n]*\r\n$/,
    );
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
