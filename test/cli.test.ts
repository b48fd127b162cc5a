/** `git odb` as a process: help, usage errors, exit codes, folders, and the verbs that need no store. */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verbs } from "../src/cli/verbs.js";
import { cliEnv, gitOdb } from "./support/cli.js";
import { bin, git, tempRepo } from "./support/git.js";
import { startServeProcess } from "./support/serve-process.js";
import { tempDir } from "./support/temp.js";
import { lacks, lacksFile } from "./support/tools.js";

const root = join(import.meta.dirname, "..");

/** Where Debian's git package has it. */
const gitCompletion = "/usr/share/bash-completion/completions/git";

describe("help and usage", () => {
  it("lists every verb on stdout, exit 0", () => {
    const { status, stdout, stderr } = gitOdb(["-h"], { cwd: tempDir() });
    expect([status, stderr]).toEqual([0, ""]);
    for (const { name, summary } of verbs)
      expect(stdout).toMatch(new RegExp(`^ +${name} +${summary.slice(0, 30)}`, "m"));
  });

  it("explains a verb by -h, --help and help", () => {
    const asked = [
      ["track", "-h"],
      ["track", "--help"],
      ["help", "track"],
    ].map((args) => gitOdb(args));
    for (const { status, stdout } of asked) {
      expect(status).toBe(0);
      expect(stdout).toContain("Usage: git odb track");
      expect(stdout).toContain("--quiet");
    }
  });

  it("ends with 129 and the usage on stderr when the command line is wrong", () => {
    for (const args of [[], ["no-such-verb"], ["track", "--no-such"], ["untrack"], ["completion", "csh"]]) {
      const { status, stdout, stderr } = gitOdb(args);
      expect([args, status, stdout]).toEqual([args, 129, ""]);
      expect(stderr).toContain("Usage: git odb");
    }
  });

  it("ends quietly with 141 when the reader of stdout goes away", () => {
    // The reader is gone long before the writer starts.
    const script = "{ sleep 0.3; git odb completion bash; } | true; exit $PIPESTATUS";
    const { status, stderr } = spawnSync("bash", ["-c", script], { env: cliEnv(), encoding: "utf8" });
    expect([status, stderr]).toEqual([141, ""]);
  });
});

describe("track and untrack", () => {
  it("edit the .gitattributes of the folder they are run in", () => {
    const repo = tempRepo();
    mkdirSync(join(repo, "sub dir"));
    git(["config", "odb.big.scriptCommand", "x"], { cwd: repo });
    expect(gitOdb(["track", "big", "*.bin", "a b"], { cwd: join(repo, "sub dir") })).toEqual({
      status: 0,
      stdout: "",
      stderr:
        'sub dir/.gitattributes: "*.bin" is now tracked in ODB big\nsub dir/.gitattributes: "a b" is now tracked in ODB big\n',
    });
    expect(git(["check-attr", "odb", "sub dir/a b", "x.bin"], { cwd: repo })).toBe(
      "sub dir/a b: odb: big\nx.bin: odb: unspecified",
    );
    expect(gitOdb(["track"], { cwd: join(repo, "sub dir") }).stdout).toBe("big\t*.bin\nbig\ta b\n");
    expect(gitOdb(["untrack", "-q", "big", "*.bin", "a b"], { cwd: join(repo, "sub dir") }).status).toBe(0);
    expect(readFileSync(join(repo, "sub dir/.gitattributes"), "utf8")).toBe("");
  });

  it("work in a linked worktree", () => {
    const repo = tempRepo();
    git(["commit", "-q", "--allow-empty", "-m", "x"], { cwd: repo });
    const tree = join(tempDir(), "tree");
    git(["worktree", "add", "-q", tree], { cwd: repo });
    expect(gitOdb(["track", "-q", "big", "*.bin"], { cwd: tree }).status).toBe(0);
    expect(readFileSync(join(tree, ".gitattributes"), "utf8")).toBe("*.bin odb=big\n");
  });

  it("say what is wrong in one line, and change nothing", () => {
    const repo = tempRepo();
    writeFileSync(join(repo, ".gitattributes"), "# mine");
    const cases: [string[], string, number, RegExp][] = [
      [["track", "big", "*.a", "!x"], repo, 129, /^fatal: pattern "!x": git forbids negative patterns/],
      [["track", "big", "dir/"], repo, 129, /^fatal: pattern "dir\/" matches no file.*track "dir\/\*\*"/],
      [["track", "b/g", "*.a"], repo, 129, /^fatal: "b\/g" is no ODB name/],
      [["track", "big", "*.a"], tempDir(), 128, /^fatal: .*not a git repository|no repository/],
      [["track", "big", "*.a"], tempRepo("--bare"), 128, /^fatal: .* has no work tree.*info\/attributes/],
    ];
    for (const [args, cwd, status, message] of cases) {
      const done = gitOdb(args, { cwd });
      expect([args, done.status, done.stdout]).toEqual([args, status, ""]);
      expect(done.stderr).toMatch(message);
      expect(done.stderr.trimEnd()).not.toContain("\n");
    }
    expect(readFileSync(join(repo, ".gitattributes"), "utf8")).toBe("# mine");
  });

  it("warn of an ODB that is not configured here", () => {
    const { status, stderr } = gitOdb(["track", "-q", "media", "*.a"], { cwd: tempRepo() });
    expect(status).toBe(0);
    expect(stderr).toBe(
      'warning: ODB media is not configured in this repository: run "git odb init media <url>"\n',
    );
  });
});

describe("env", () => {
  it("shows versions, settings and helpers, and no secret", () => {
    const repo = tempRepo();
    git(["config", "odb.big.url", "https://me:hunter2@example.com/x?token=hunter3"], { cwd: repo });
    git(["config", "odb.big.subprocessCommand", "git-odb-helper-http --name big"], { cwd: repo });
    const env = { AWS_SECRET_ACCESS_KEY: "hunter4", GIT_TRACE_CURL: "0" };
    const { status, stdout } = gitOdb(["env"], { cwd: repo, env });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^git-odb \d+\.\d+\.\d+$/m);
    expect(stdout).toMatch(/^git \d+\.\d+/m);
    expect(stdout).toMatch(/^config odb\.big\.url=https:\/\/.*example\.com\/x/m);
    expect(stdout).toContain("environment AWS_SECRET_ACCESS_KEY=(set)");
    expect(stdout).toContain("environment GIT_TRACE_CURL=0");
    expect(stdout).not.toContain("hunter");
    const report = JSON.parse(gitOdb(["env", "--json"], { cwd: repo, env }).stdout);
    expect(report.repository).toEqual({ path: repo, gitDir: join(repo, ".git"), hash: "sha1" });
    expect(gitOdb(["env"], { cwd: tempDir() }).stdout).toContain("repository none here");
  });
});

describe("completion", () => {
  it("prints each script", () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { status, stdout } = gitOdb(["completion", shell]);
      expect(status).toBe(0);
      expect(stdout).toContain("git odb");
    }
  });

  it.skipIf(lacks("zsh"))("is a script that zsh understands", () => {
    const { status, stderr } = spawnSync("zsh", ["-n", join(root, "completion/_git-odb")], {
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([0, ""]);
  });

  it.skipIf(lacksFile(gitCompletion))(
    "completes verbs, options and ODB names through git's own in bash",
    () => {
      const repo = tempRepo();
      git(["config", "odb.media.url", "/x"], { cwd: repo });
      git(["config", "odb.more.scriptCommand", "x"], { cwd: repo });
      const script = `
      . ${gitCompletion}
      . <(git odb completion bash)
      complete_words() {
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=\${#COMP_LINE} COMPREPLY=()
        $(complete -p git | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        echo "\${COMPREPLY[*]}"
      }
      complete_words git odb unt
      complete_words git odb track --qu
      complete_words git odb track m
      complete_words git odb completion f`;
      const { stdout } = spawnSync("bash", ["--norc", "-c", script], {
        cwd: repo,
        env: cliEnv(),
        encoding: "utf8",
      });
      expect(stdout.split("\n").map((line) => line.replace(/ +/g, " ").trim())).toEqual([
        "untrack",
        "--quiet",
        "media more",
        "fish",
        "",
      ]);
    },
  );
});

describe("conformance", () => {
  it("tests a store, and leaves one with objects in it alone", () => {
    const store = tempDir("store");
    const cases = ["empty", "65517", "absent-is-undefined"];
    const args = ["conformance", "store", store, "--json", "--only", ...cases];
    const { status, stdout } = gitOdb(args);
    const report = JSON.parse(stdout);
    expect([status, report.passed, report.failed]).toEqual([0, 3, 0]);
    const again = gitOdb(args);
    expect([again.status, again.stdout]).toEqual([128, ""]);
    expect(again.stderr).toMatch(/^fatal: .* holds objects already .*--force\n$/);
    expect(gitOdb([...args, "--force"]).status).toBe(0);
  });

  it("tests the bucket under a store too, where its keys can be removed", async () => {
    const cases = ["bucket:list-prefix", "bucket:counter", "empty"];
    const outcomes = (url: string) => {
      const { stdout } = gitOdb(["conformance", "store", url, "--json", "--force", "--only", ...cases]);
      const report = JSON.parse(stdout) as { cases: { name: string; outcome: string; message?: string }[] };
      return report.cases.map(({ name, outcome }) => `${outcome} ${name}`);
    };
    expect(outcomes(tempDir("store"))).toEqual(cases.map((name) => `pass ${name}`));
    await using keeping = await startServeProcess("memory:");
    expect(outcomes(keeping.url)).toEqual(["skip bucket:*", "pass empty"]);
    expect(outcomes(`${keeping.url}?layout=list`)).toEqual(["pass empty"]);
  });

  it("reports a bad helper case by case and ends with 1", () => {
    const { status, stdout } = gitOdb(["conformance", "helper", "exit 3", "--tap", "--timeout", "5"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^TAP version 13\n1\.\.\d+\nnot ok 1 - starts\n/);
    const text = gitOdb(["conformance", "helper", "exit 3", "--mode=script", "--only", "starts"]);
    expect([text.status, text.stdout]).toEqual([
      1,
      expect.stringMatching(/^FAIL starts[\s\S]*does not conform\n$/),
    ]);
  });

  it("runs a helper in the repository that configures it, or says that it did not", () => {
    const repo = tempRepo();
    git(["config", "odb.big.url", tempDir("store")], { cwd: repo });
    const helper = `'${process.execPath}' '${bin("git-odb-helper-file")}' --name big`;
    const args = ["conformance", "helper", helper, "--only", "put-twice", "sha256"];
    const here = gitOdb([...args, "--repository", "."], { cwd: repo });
    expect(here.stdout).toMatch(/^ok {3}put-twice\nskip sha256 \(the repository given has sha1 ids\)\n/m);
    expect(here).toMatchObject({ status: 0, stderr: "" });
    const elsewhere = gitOdb(args, { cwd: repo });
    expect(elsewhere.status).toBe(1);
    expect(elsewhere.stderr).toMatch(
      /^warning: the helper ran in a scratch repository.*--repository \. runs it here\n$/,
    );
  });

  it("says with a failed case what the helper said, as of a store that is not there", () => {
    const helper = `'${process.execPath}' '${bin("git-odb-helper-file")}' --name magic '${tempDir()}/none'`;
    const { status, stdout } = gitOdb(["conformance", "helper", helper, "--only", "put-twice"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/FAIL put-twice\n.*status=abort, not success; its stderr ends:\n.*none/);
  });

  it("refuses what cannot be run", () => {
    expect(gitOdb(["conformance", "helper", "cat", "--timeout", "soon"]).status).toBe(129);
    expect(gitOdb(["conformance", "helper", "cat", "--oid", "123"]).status).toBe(129);
    expect(gitOdb(["conformance", "store", "gopher://x"]).status).toBe(129);
    expect(gitOdb(["conformance", "store", "/no/such/folder"]).status).toBe(128);
    expect(gitOdb(["conformance", "store", tempDir(), "--only", "no-such-case"]).status).toBe(129);
    expect(gitOdb(["conformance"]).status).toBe(129);
  });
});
