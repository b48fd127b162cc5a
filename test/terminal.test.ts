/** What is seen on a terminal while objects are on their way, and what `-q` and its like leave out: as with git itself. */

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commit, emptyFixture, expectOk, writeBig } from "./offload/fixture.js";
import { gitWithOdb, lazyClone } from "./remote/lazy.js";
import { cliEnv, gitOdb } from "./support/cli.js";
import { git, tryGit } from "./support/git.js";
import { tempDir } from "./support/temp.js";
import { startOnTerminal } from "./support/terminal.js";
import { lacks } from "./support/tools.js";

/** At once, where people wait for a second first. */
const env = { GIT_PROGRESS_DELAY: "0" };

async function onTerminal(cwd: string, ...command: string[]): Promise<string> {
  const { status, shown } = await startOnTerminal(command, { cwd, env }).ended;
  expect([status, shown]).toEqual([0, expect.any(String)]);
  return shown;
}

/** The last line of git's progress.c for a task that is through. */
const done = (title: string, count: number) =>
  new RegExp(
    `\\r?${title}: 100% \\(${count}/${count}\\), [0-9.]+ [KM]iB \\| [0-9.]+ [KMG]iB/s, done\\. *\\r\\n`,
  );

const files = { "a.bin": randomBytes(70_000), "b.bin": randomBytes(70_000), "c.bin": randomBytes(1_200_000) };

function version(): number {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(git(["--version"])) ?? [];
  return Number(major) * 1000 + Number(minor);
}

describe.skipIf(lacks("script") || process.platform !== "linux")("on a terminal", () => {
  describe("a lazy fetch of git's", () => {
    it("shows progress", async () => {
      const { dir } = lazyClone({ files });
      expect(await onTerminal(dir, "git", "checkout", "main")).toMatch(done("Fetching objects", 3));
    });

    it("shows none elsewhere", () => {
      const { dir } = lazyClone({ files });
      expect(gitWithOdb(["checkout", "main"], dir, env)).toMatchObject({
        status: 0,
        stderr: "Already on 'main'\n",
      });
    });

    // The setting is of git 2.46.
    it.skipIf(version() < 2046)("shows none with promisor.quiet", async () => {
      const { dir } = lazyClone({ files });
      const shown = await onTerminal(dir, "git", "-c", "promisor.quiet=true", "checkout", "main");
      expect(shown).not.toContain("Fetching");
      expect(shown).toContain("Updating files: 100% (3/3), done.");
    });
  });

  describe.each([
    ["fetch", "Fetching from m", "Fetched 3 objects"],
    ["pull", "Fetching from m", "Fetched 3 objects"],
  ])("git odb %s", (verb, title, result) => shows(() => lazyClone({ files }).dir, verb, title, result));

  describe("git odb push", () => {
    const unpushed = () => {
      const { repo } = emptyFixture();
      for (const name of ["a.bin", "b.bin", "c.bin"]) writeBig(repo, name, 70_000);
      commit(repo, "three");
      return repo;
    };
    shows(unpushed, "push", "Uploading to big", "3 blobs sent");
  });

  it("git odb clone shows git's progress, and that of the big blobs of the checkout", async () => {
    const { repo, origin, store } = emptyFixture();
    for (const name of ["a.bin", "b.bin", "c.bin"]) writeBig(repo, name, 70_000);
    commit(repo, "three");
    git(["config", "uploadpack.allowFilter", "true"], { cwd: origin });
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    expectOk(gitOdb(["init", "-q", "--publish", "big"], { cwd: repo }));
    git(["push", "-q", "origin", "main", "refs/odbs/big/config"], { cwd: repo });
    const clone = ["git", "odb", "clone", `--accept-odb=${store}`];
    const to = tempDir("to");
    const shown = await onTerminal(to, ...clone, `file://${origin}`, "loud");
    expect(shown).toMatch(/^Cloning into 'loud'\.\.\.\r\n/);
    expect(shown).toMatch(/remote: Counting objects: 100%/);
    expect(shown).toMatch(done("Fetching objects", 3));
    expect(await onTerminal(to, ...clone, "-q", `file://${origin}`, "quiet")).toBe("");
    const bare = await onTerminal(to, ...clone, "--no-progress", `file://${origin}`, "bare");
    expect(bare).not.toMatch(/100%|\r(?!\n)/);
    const other = tryGit([...clone.slice(1), "--progress", `file://${origin}`, "other"], {
      cwd: to,
      env: cliEnv(env),
    });
    expect(other.stderr).toMatch(/Receiving objects: 100%/);
  });

  it("a repository in a bucket is pushed, cloned and fetched with git's progress, and quietly with -q", async () => {
    const { source } = lazyClone({ files });
    const bucket = `odb::${join(tempDir("bucket"), "b")}`;
    expect(await onTerminal(source, "git", "push", bucket, "main")).toMatch(/Writing objects: 100% \(5\/5\)/);
    expect(await onTerminal(source, "git", "push", "-q", bucket, "main:two")).toBe("");
    const to = tempDir("to");
    expect(await onTerminal(to, "git", "clone", bucket, "loud")).toMatch(/Receiving objects: 100% \(5\/5\)/);
    expect(await onTerminal(to, "git", "clone", "-q", bucket, "quiet")).toBe("");
    git(["commit", "-q", "--allow-empty", "-m", "again"], { cwd: source });
    tryGit(["push", "-q", bucket, "main"], { cwd: source, env: cliEnv() });
    expect(await onTerminal(join(to, "quiet"), "git", "fetch", "-q")).toBe("");
    const fetched = await onTerminal(join(to, "loud"), "git", "fetch", "--no-progress");
    expect(fetched).toMatch(/^From odb::\S+\r\n +[0-9a-f]+\.\.[0-9a-f]+ +main +-> origin\/main\r\n$/);
  });
});

/** Progress on a terminal or with `--progress`, none with `-q` or `--no-progress` or elsewhere. */
function shows(prepare: () => string, verb: string, title: string, result: string): void {
  it("shows progress, and what it did", async () => {
    const shown = await onTerminal(prepare(), "git", "odb", verb);
    expect(shown).toMatch(done(title, 3));
    expect(shown).toContain(result);
  });

  it("shows the result alone with --no-progress, nothing with -q", async () => {
    const shown = await onTerminal(prepare(), "git", "odb", verb, "--no-progress");
    expect(shown).not.toContain(title);
    expect(shown).toContain(result);
    expect(await onTerminal(prepare(), "git", "odb", verb, "-q")).toBe("");
  });

  it("shows no progress elsewhere, unless it is asked for", () => {
    expect(gitOdb([verb], { cwd: prepare(), env }).stderr).not.toContain(title);
    expect(gitOdb([verb, "--progress"], { cwd: prepare(), env }).stderr).toContain(`${title}: 100% (3/3)`);
  });
}
