/** `git odb bundle clone` and `fetch` killed before each git that they start, and run again. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import { allObjects, bundleUp, commit, readTableOf, sourceRepo } from "../support/bundles.js";
import { cliEnv, startOdb } from "../support/cli.js";
import { git, tryGit } from "../support/git.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

/** A `git` that kills who starts it for the `KILL_AT`-th time, in place of its work. */
function deadlyGit(): (killAt: number) => NodeJS.ProcessEnv {
  const folder = tempDir("deadly");
  const log = join(folder, "log");
  const real = spawnSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).stdout.trim();
  // Gits that start at the same time must not have the same number: a folder can be made once only.
  const number = `n=1; until mkdir '${log}'/$n 2>/dev/null; do n=$((n + 1)); done`;
  const script = `#!/bin/sh\n${number}\n[ $n = "$KILL_AT" ] && kill -9 $PPID && exit 1\nexec '${real}' "$@"\n`;
  writeFileSync(join(folder, "git"), script);
  chmodSync(join(folder, "git"), 0o755);
  return (killAt: number) => {
    rmSync(log, { recursive: true, force: true });
    mkdirSync(log);
    const { PATH } = cliEnv();
    return { PATH: `${folder}${delimiter}${PATH}`, KILL_AT: `${killAt}` };
  };
}

async function odb(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  const child = startOdb(["bundle", ...args, "-q"], { cwd, env });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) =>
    child.on("close", (...how) => done(how)),
  );
  return { status, signal, stderr };
}

describe("killed before any of its gits", () => {
  it("a clone goes on, and so does the fetch after it", async () => {
    const source = sourceRepo();
    const folder = tempDir("bundles");
    await using server = await startStaticServer(folder);
    await bundleUp(source, folder, { start: "new", baseUrl: server.url });
    commit(source, "two");
    await bundleUp(source, folder);
    commit(source, "unbundled");
    const table = `${server.url}/bundles.json`;
    const deadly = deadlyGit();
    const cwd = tempDir("clones");
    const expectWhole = (clone: string) => {
      expect(allObjects(clone)).toEqual(allObjects(source));
      expect(git(["fsck", "--strict"], { cwd: clone })).toBe("");
      expect(git(["status", "-sb", "--porcelain"], { cwd: clone })).toBe("## main...origin/main");
      expect(git(["config", "bundle.latestTimestamp"], { cwd: clone })).toBe(
        `${readTableOf(folder).at(-1)?.timestamp}`,
      );
      expect(readdirSync(join(clone, ".git/odb-bundles"))).toEqual([]);
      expect(readdirSync(join(clone, ".git/objects")).filter((name) => name.startsWith("tmp_"))).toEqual([]);
      expect(readFileSync(join(clone, ".git/config"), "utf8")).not.toContain("odbclone");
    };
    let last = 0;
    for (let nth = 1; ; nth++) {
      const clone = join(cwd, `c${nth}`);
      const args = ["clone", source, clone, "--bundles", table];
      const killed = await odb(args, cwd, deadly(nth));
      if (killed.signal === null) {
        expect(killed).toMatchObject({ status: 0, stderr: "" });
        break;
      }
      last = nth;
      const again = await odb(args, cwd);
      // Its history is complete, and only its checkout was to come.
      if (again.status !== 0) {
        expect(again.stderr).toMatch(/run "git checkout --force" in it/);
        git(["checkout", "-q", "--force"], { cwd: clone });
      }
      expectWhole(clone);
    }
    expect(last).toBeGreaterThan(10);

    commit(source, "three");
    await bundleUp(source, folder);
    for (let nth = 1; ; nth++) {
      const clone = join(cwd, `c${nth}`);
      if ((await odb(["fetch"], clone, deadly(nth))).signal === null) break;
      // Objects come before the ref that names them, so some may be dangling: nothing else is to be said.
      const fsck = tryGit(["fsck", "--strict", "--no-dangling"], { cwd: clone });
      expect(fsck).toMatchObject({ status: 0, stdout: "" });
      expect(await odb(["fetch"], clone)).toEqual({ status: 0, signal: null, stderr: "" });
      git(["merge", "-q", "--ff-only", "origin/main"], { cwd: clone });
      expectWhole(clone);
      expect(nth).toBeLessThan(last);
    }
  }, 120_000);
});
