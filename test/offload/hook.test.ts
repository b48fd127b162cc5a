/** git push with our hook: in its own file, beside a hook of somebody else's, and with a store that does not answer. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { gitOdb } from "../support/cli.js";
import { git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import { startOnTerminal } from "../support/terminal.js";
import { lacks } from "../support/tools.js";
import { commit, emptyFixture, expectOk, type Fixture, useCommands, writeBig } from "./fixture.js";

beforeAll(useCommands);

/** git 2.54 and later run hooks of the config, too, so ours stands there when the file is taken. */
const isBeside = /^git version (?:2\.(?:5[4-9]|[6-9])|[3-9])/.test(git(["version"]));

function stored(store: string): string[] {
  const objects = join(store, "objects");
  if (!existsSync(objects)) return [];
  return readdirSync(objects, { recursive: true, encoding: "utf8" })
    .map((file) => file.replace(/^.*\//, ""))
    .filter((name) => name.length >= 40)
    .sort();
}

function metadata(repo: string): string[] {
  const refs = git(["for-each-ref", "--format=%(refname:lstrip=3)", "refs/odbs/big"], { cwd: repo });
  return refs.split("\n").filter(Boolean);
}

function blob(repo: string, name: string): string {
  return git(["rev-parse", name], { cwd: repo });
}

/** One more big file, committed. @returns its blob */
function another({ repo }: Pick<Fixture, "repo">, name: string): string {
  writeBig(repo, name, 1000);
  commit(repo, name);
  return blob(repo, `HEAD:${name}`);
}

/** A push sends the blobs, and one whose blobs cannot be sent is stopped. */
function expectHooked(fixture: Fixture, cwd = fixture.repo): void {
  const { store, origin } = fixture;
  const oid = another({ repo: cwd }, `${stored(store).length}.bin`);
  expectOk(tryGit(["push", "-q", "origin", "HEAD"], { cwd }));
  expect(stored(store)).toContain(oid);
  another({ repo: cwd }, "stopped.bin");
  const before = git(["for-each-ref"], { cwd: origin });
  renameSync(store, `${store}.gone`);
  const { status, stderr } = tryGit(["push", "origin", "HEAD"], { cwd });
  expect([status, stderr]).toEqual([1, expect.stringMatching(/fatal: .*no such directory/)]);
  renameSync(`${store}.gone`, store);
  expect(git(["for-each-ref"], { cwd: origin })).toBe(before);
}

function writeHookFile(path: string, text: string): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text, { mode: 0o755 });
}

describe("the hook", () => {
  it("sends before git pushes, and stops the push when the store cannot take the blobs", () => {
    const { repo, origin, store } = emptyFixture();
    const { stderr } = gitOdb(["install"], { cwd: repo });
    expect(stderr).toMatch(/pre-push: git push sends selected blobs/);
    expect(gitOdb(["install"], { cwd: repo }).stderr).toMatch(/was installed already/);
    writeBig(repo, "a.bin", 1000);
    commit(repo, "one");
    const gone = `${store}.gone`;
    renameSync(store, gone);
    const failed = tryGit(["push", "origin", "main"], { cwd: repo });
    expect([failed.status, failed.stderr]).toEqual([1, expect.stringMatching(/fatal: .*no such directory/)]);
    expect(git(["for-each-ref"], { cwd: origin })).toBe("");
    renameSync(gone, store);
    git(["tag", "-a", "-m", "x", "v1"], { cwd: repo });
    git(["tag", "blob", "HEAD:a.bin"], { cwd: repo });
    git(["push", "-q", "--tags", "origin", "main"], { cwd: repo });
    expect([stored(store), metadata(origin)]).toEqual([
      [blob(repo, "HEAD:a.bin")],
      [blob(repo, "HEAD:a.bin")],
    ]);
    // By URL, where no remote-tracking ref tells what is there.
    writeBig(repo, "b.bin", 1000);
    commit(repo, "two");
    git(["push", "-q", origin, "main"], { cwd: repo });
    expect(metadata(origin)).toHaveLength(2);
  });

  it("says so when git-odb is not on PATH any more", () => {
    const { repo } = emptyFixture();
    expectOk(gitOdb(["install", "-q"], { cwd: repo }));
    const path = (process.env.PATH ?? "").split(":").filter((folder) => !existsSync(join(folder, "git-odb")));
    const { status, stderr } = tryGit(["push", "origin", "main"], {
      cwd: repo,
      env: { PATH: path.join(":") },
    });
    expect([status, stderr]).toEqual([1, expect.stringContaining("git-odb is not on PATH")]);
  });

  it.skipIf(isBeside)("never replaces or removes a hook of the user's", () => {
    const { repo } = emptyFixture();
    const hook = join(repo, ".git/hooks/pre-push");
    mkdirSync(join(repo, ".git/hooks"), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    for (const verb of ["install", "uninstall"]) {
      const { status, stderr } = gitOdb([verb], { cwd: repo });
      expect([status, stderr]).toEqual([128, expect.stringMatching(/^fatal: .*pre-push is [^\n]*\n$/)]);
      expect(readFileSync(hook, "utf8")).toBe("#!/bin/sh\nexit 0\n");
    }
    expect(gitOdb(["install"], { cwd: repo }).stderr).toContain(
      'add this line to it, before anything that reads standard input: git odb push --pre-push "$@" || exit 1',
    );
    rmSync(hook);
    expectOk(gitOdb(["install", "-q"], { cwd: repo }));
    expectOk(gitOdb(["uninstall", "-q"], { cwd: repo }));
    expect(existsSync(hook)).toBe(false);
    expect(gitOdb(["uninstall"], { cwd: repo }).stderr).toContain("there is no hook");
  });

  it("honours core.hooksPath, but writes to no folder that other repositories share", () => {
    const { repo } = emptyFixture();
    git(["config", "core.hooksPath", "my-hooks"], { cwd: repo });
    mkdirSync(join(repo, "deep"));
    expectOk(gitOdb(["install", "-q"], { cwd: join(repo, "deep") }));
    expect(existsSync(join(repo, "my-hooks/pre-push"))).toBe(true);
    expectOk(gitOdb(["uninstall", "-q"], { cwd: repo }));
    git(["config", "--unset", "core.hooksPath"], { cwd: repo });
    const shared = tempDir("hooks");
    const config = join(tempDir(), "config");
    writeFileSync(config, `[core]\n\thooksPath = ${shared}\n`);
    const env = { GIT_CONFIG_GLOBAL: config };
    const { status, stderr } = gitOdb(["install"], { cwd: repo, env });
    expect([status, stderr]).toEqual([
      isBeside ? 0 : 128,
      expect.stringMatching(/core.hooksPath is set for more than this repository/),
    ]);
    expect(readdirSync(shared)).toEqual([]);
    const bare = tempRepo("--bare");
    expectOk(gitOdb(["install", "-q"], { cwd: bare }));
    expect(existsSync(join(bare, "hooks/pre-push"))).toBe(true);
  });
});

describe("beside a hook of somebody else's", () => {
  it("in work trees: one hook for all of them", () => {
    const fixture = emptyFixture();
    const tree = join(tempDir("tree"), "tree");
    git(["worktree", "add", "-q", "-b", "topic", tree], { cwd: fixture.repo });
    expectOk(gitOdb(["install", "-q"], { cwd: tree }));
    expectHooked(fixture, tree);
    expectHooked(fixture);
    expect(gitOdb(["install"], { cwd: fixture.repo }).stderr).toContain("was installed already");
  });

  it.runIf(isBeside)("stands in the config, and leaves the file alone", () => {
    const fixture = emptyFixture();
    const { repo } = fixture;
    const hook = join(repo, ".git/hooks/pre-push");
    const own = "#!/bin/sh\ncat >>own-hook\n";
    writeHookFile(hook, own);
    expect(gitOdb(["install"], { cwd: repo })).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^hook.git-odb in the config .*pre-push stays/),
    });
    expect(gitOdb(["install"], { cwd: repo }).stderr).toMatch(/^hook.git-odb was installed already/);
    expect(gitOdb(["doctor"], { cwd: repo }).stdout).toContain("a hook of the config sends big files");
    expectHooked(fixture);
    expect(readFileSync(join(repo, "own-hook"), "utf8")).toContain("refs/heads/main");
    expectOk(gitOdb(["uninstall", "-q"], { cwd: repo }));
    expect(tryGit(["config", "--get-regexp", "^hook"], { cwd: repo }).status).toBe(1);
    expect(readFileSync(hook, "utf8")).toBe(own);
    expect(gitOdb(["uninstall"], { cwd: repo }).status).toBe(128);
  });

  // The texts are what husky 9, pre-commit 4 and lefthook 2 write, the last two shortened.
  describe.skipIf(isBeside)("of a hook manager: says where the command goes, and finds it there", () => {
    const advised = (repo: string) => gitOdb(["install"], { cwd: repo });

    it("husky, which runs it", () => {
      const fixture = emptyFixture();
      const { repo } = fixture;
      git(["config", "core.hooksPath", ".husky/_"], { cwd: repo });
      writeHookFile(join(repo, ".husky/_/pre-push"), '#!/usr/bin/env sh\n. "$(dirname "$0")/h"');
      writeFileSync(
        join(repo, ".husky/_/h"),
        '#!/usr/bin/env sh\nn=$(basename "$0")\ns=$(dirname "$(dirname "$0")")/$n\n\n[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\nc=$?\nexit $c\n',
      );
      const { status, stderr } = advised(repo);
      const place = join(repo, ".husky/pre-push");
      expect([status, stderr]).toEqual([
        128,
        `fatal: ${join(repo, ".husky/_/pre-push")} is of husky and stays as it is: add to ${place}: git odb push --pre-push "$@"\n`,
      ]);
      expect(gitOdb(["doctor"], { cwd: repo }).stdout).toContain(`add to ${place}: git odb`);
      writeFileSync(place, 'git odb push --pre-push "$@"\n');
      expectHooked(fixture);
      expect(advised(repo)).toMatchObject({
        status: 0,
        stderr: expect.stringContaining("sends selected blobs already"),
      });
      expect(gitOdb(["doctor"], { cwd: repo }).stdout).toContain("pre-push sends big files before a push");
    });

    it.each([
      [
        "pre-commit",
        '#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\nexec pre-commit hook-impl --hook-type=pre-push "$@"\n',
        ".git/hooks/pre-push.legacy",
        '#!/bin/sh\ngit odb push --pre-push "$@" || exit 1\n',
      ],
      [
        "lefthook",
        '#!/bin/sh\ncall_lefthook()\n{\n  lefthook "$@"\n}\n\ncall_lefthook run "pre-push" "$@"\n',
        "lefthook.yml",
        "pre-push:\n  commands:\n    odb:\n      run: git odb push --pre-push {1} {2}\n      use_stdin: true\n",
      ],
    ])("%s", (name, script, place, text) => {
      const { repo } = emptyFixture();
      const hook = join(repo, ".git/hooks/pre-push");
      writeHookFile(hook, script);
      const { status, stderr } = advised(repo);
      expect([status, stderr]).toEqual([128, expect.stringMatching(`is of ${name} and stays as it is: `)]);
      expect(stderr).toContain(join(repo, place));
      writeHookFile(join(repo, place), text);
      expect(advised(repo).status).toBe(0);
      expect(gitOdb(["doctor"], { cwd: repo }).stdout).toContain("pre-push sends big files before a push");
      expect(readFileSync(hook, "utf8")).toBe(script);
    });
  });
});

describe.skipIf(lacks("script") || process.platform !== "linux")("a store that does not answer", () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  it("is named on the terminal, and Ctrl-C ends the push: nothing has left", async () => {
    let asked = 0;
    server = createServer(() => {
      asked += 1;
    });
    await new Promise<void>((done) => server?.listen(0, "127.0.0.1", done));
    const { repo, origin } = emptyFixture();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    git(["config", "--replace-all", "odb.big.url", url], { cwd: repo });
    expectOk(gitOdb(["install", "-q"], { cwd: repo }));
    another({ repo }, "a.bin");
    const push = startOnTerminal(["git", "push", "origin", "main"], {
      cwd: repo,
      env: { GIT_PROGRESS_DELAY: "0" },
    });
    while (asked === 0 || !push.shown().includes("Uploading to big:   0% (0/1)")) await sleep(20);
    push.type("\x03");
    const { status, shown } = await push.ended;
    expect(status).toBe(130);
    expect(shown).not.toMatch(/fatal|error/);
    expect(git(["for-each-ref"], { cwd: origin })).toBe("");
  });
});
