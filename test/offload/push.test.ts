/** git odb push and its hook: which blobs go, to where, and when a push is stopped. */

import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { cliEnv, gitOdb } from "../support/cli.js";
import { git, spawnGit, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import { commit, emptyFixture, expectOk, useCommands, writeBig } from "./fixture.js";

beforeAll(useCommands);

/** What lies in a store of raw layout. */
function stored(store: string): string[] {
  const root = join(store, "objects");
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .flatMap((folder) => readdirSync(join(root, folder)))
    .sort();
}

/** The objects whose metadata refs a repository has. */
function metadata(repo: string): string[] {
  const refs = git(["for-each-ref", "--format=%(refname)", "refs/odbs/big"], { cwd: repo });
  return refs
    .split("\n")
    .filter(Boolean)
    .map((ref) => ref.replace(/^.*\//, ""))
    .sort();
}

function blob(repo: string, name: string): string {
  return git(["rev-parse", name], { cwd: repo });
}

describe("what is sent", () => {
  it("is selected by the attributes of each commit, and only of commits that the remote lacks", () => {
    const { repo, store, origin } = emptyFixture();
    writeBig(repo, "a.bin", 1000);
    writeBig(repo, "a.dat", 1000);
    commit(repo, "first");
    git(["push", "-q", "--no-verify", "origin", "main"], { cwd: repo });
    // Selected now, and no more at the end; a.dat from now on, though it is not changed; sub/ has its own word.
    mkdirSync(join(repo, "sub"));
    writeFileSync(join(repo, "sub/.gitattributes"), "*.bin -odb\n");
    writeBig(repo, "b.bin", 1000);
    writeBig(repo, "sub/c.bin", 1000);
    commit(repo, "second");
    writeFileSync(join(repo, ".gitattributes"), "*.dat odb=big\n");
    rmSync(join(repo, "sub/.gitattributes"));
    writeBig(repo, "d.bin", 1000);
    commit(repo, "third");
    const wanted = ["HEAD~1:b.bin", "HEAD~1:a.bin", "HEAD:a.dat"].map((name) => blob(repo, name)).sort();
    const { status, stderr } = gitOdb(["push"], { cwd: repo });
    expect([status, stderr]).toEqual([0, "ODB big: 3 blobs sent, 2.93 KiB\n"]);
    expect([stored(store), metadata(repo), metadata(origin)]).toEqual([wanted, wanted, wanted]);
    expect(gitOdb(["push"], { cwd: repo })).toMatchObject({ status: 0, stderr: "" });
  });

  it("counts what a merge brings under the attributes of the other branch", () => {
    const { repo, store } = emptyFixture();
    git(["checkout", "-q", "-b", "topic"], { cwd: repo });
    writeBig(repo, "late.dat", 1000);
    commit(repo, "before it was tracked");
    git(["checkout", "-q", "main"], { cwd: repo });
    writeFileSync(join(repo, ".gitattributes"), "*.bin odb=big\n*.dat odb=big\n");
    commit(repo, "tracked");
    git(["push", "-q", "origin", "main"], { cwd: repo });
    git(["merge", "-q", "-m", "merge", "topic"], { cwd: repo });
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    expect(stored(store)).toEqual([blob(repo, "HEAD:late.dat")]);
  });

  it("is of the commits that git pushes, whatever a replace ref shows in their place", () => {
    const { repo, store } = emptyFixture();
    const before = blob(repo, "HEAD");
    writeBig(repo, "a.bin", 1000);
    writeFileSync(join(repo, "plain.txt"), "plain\n");
    commit(repo, "one");
    const sent = blob(repo, "HEAD:a.bin");
    git(["replace", "HEAD", before], { cwd: repo });
    git(["replace", sent, blob(repo, "HEAD^{tree}:.gitattributes")], { cwd: repo });
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    expect(stored(store)).toEqual([sent]);
  });

  it("goes by size, too, unless an attribute says no", () => {
    const { repo, store } = emptyFixture();
    expectOk(gitOdb(["track", "big", "--above", "5k"], { cwd: repo }));
    expect(git(["config", "odb.big.minSize"], { cwd: repo })).toBe("5k");
    writeFileSync(join(repo, ".gitattributes"), "*.raw -odb\n");
    for (const [name, size] of [
      ["large", 5120],
      ["small", 5119],
      ["never.raw", 9000],
    ] as const)
      writeBig(repo, name, size);
    commit(repo, "sizes");
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    expect(stored(store)).toEqual([blob(repo, "HEAD:large")]);
    expectOk(gitOdb(["untrack", "big", "--above"], { cwd: repo }));
    expect(tryGit(["config", "odb.big.minSize"], { cwd: repo }).status).toBe(1);
    expect(gitOdb(["track", "other", "--above", "5k"], { cwd: repo }).stderr).toMatch(
      /ODB "other" is not configured/,
    );
    expect(gitOdb(["track", "big", "--above", "much"], { cwd: repo }).status).toBe(129);
  });

  it("is what an earlier git push has left out, too, and that is looked for once", () => {
    const { repo, store, origin } = emptyFixture();
    writeBig(repo, "before.dat", 1000);
    for (const version of ["one", "two"]) {
      writeBig(repo, "a.bin", 1000);
      commit(repo, version);
    }
    git(["push", "-q", "origin", "main"], { cwd: repo });
    const left = ["HEAD:a.bin", "HEAD~1:a.bin"].map((name) => blob(repo, name)).sort();
    const { status, stderr } = gitOdb(["push"], { cwd: repo });
    expect([status, stderr]).toEqual([0, "ODB big: 2 blobs sent, 1.95 KiB\n"]);
    expect([stored(store), metadata(origin)]).toEqual([left, left]);
    // Nothing says so any more but the note that all was sent up to here.
    for (const oid of left) git(["update-ref", "-d", `refs/odbs/big/${oid}`], { cwd: repo });
    writeBig(repo, "b.bin", 1000);
    commit(repo, "three");
    git(["push", "-q", "origin", "main"], { cwd: repo });
    expect(gitOdb(["push"], { cwd: repo }).stderr).toBe("ODB big: 1 blob sent, 1000 bytes\n");
    // Another store has none of them.
    const second = join(tempDir("store"), "second");
    git(["config", "odb.big.url", second], { cwd: repo });
    mkdirSync(second);
    expectOk(gitOdb(["push", "-q"], { cwd: repo }));
    expect(stored(second)).toEqual([...left, blob(repo, "HEAD:b.bin")].sort());
  });

  it("is everything with --all, and nothing for refs of a push that deletes", () => {
    const { repo, store } = emptyFixture();
    writeBig(repo, "a.bin", 1000);
    commit(repo, "one");
    git(["push", "-q", "origin", "main"], { cwd: repo });
    const zero = "0".repeat(40);
    const input = `(delete) ${zero} refs/heads/x ${blob(repo, "HEAD")}\nrefs/odbs/big/x ${blob(repo, "HEAD")} refs/odbs/big/x ${zero}\n`;
    expectOk(gitOdb(["push", "--pre-push", "origin"], { cwd: repo, input }));
    expect(stored(store)).toEqual([]);
    expectOk(gitOdb(["push", "-q", "--all"], { cwd: repo }));
    expect(stored(store)).toEqual([blob(repo, "HEAD:a.bin")]);
  });

  it("names a blob that is nowhere, and stops", () => {
    const { repo } = emptyFixture();
    writeBig(repo, "a.bin", 1000);
    commit(repo, "one");
    const oid = blob(repo, "HEAD:a.bin");
    rmSync(join(repo, ".git/objects", oid.slice(0, 2), oid.slice(2)));
    const { status, stderr } = gitOdb(["push"], { cwd: repo });
    expect([status, stderr]).toEqual([
      128,
      expect.stringMatching(
        new RegExp(`^fatal: object ${oid} \\(a.bin in [0-9a-f]{12}\\) is neither here nor in ODB big: .*\n$`),
      ),
    ]);
  });
});

describe("metadata refs", () => {
  it("come together from several clones that push at once", async () => {
    const { origin, repo, store } = emptyFixture();
    git(["push", "-q", "origin", "main"], { cwd: repo });
    const clones = Array.from({ length: 3 }, (_, n) => {
      const clone = join(tempDir("clone"), "c");
      git(["clone", "-q", origin, clone]);
      expectOk(gitOdb(["init", "-q", "big", store], { cwd: clone }));
      git(["checkout", "-q", "-b", `branch${n}`], { cwd: clone });
      for (let file = 0; file < 4; file++) writeBig(clone, `${n}-${file}.bin`, 500);
      // The same in all of them: they race for its ref.
      for (let file = 0; file < 20; file++) writeFileSync(join(clone, `same${file}.bin`), `same ${file}`);
      commit(clone, `clone ${n}`);
      expectOk(gitOdb(["install", "-q"], { cwd: clone }));
      return clone;
    });
    const pushes = await Promise.all(
      clones.map((clone) => spawnGit(["push", "-q", "origin", "HEAD"], { cwd: clone, env: cliEnv() })),
    );
    expect(pushes.map(({ status, stderr }) => [status, stderr])).toEqual(
      pushes.map(() => [0, expect.not.stringContaining("fatal")]),
    );
    expect(metadata(origin)).toEqual(stored(store));
    expect(stored(store)).toHaveLength(32);
    expect(tryGit(["fsck", "--full"], { cwd: origin }).status).toBe(0);
  });

  it.each([1, 20])(
    "of many blobs go in one push, with none of %d other refs, and leave nothing behind",
    (others) => {
      const { repo, origin } = emptyFixture();
      for (let file = 0; file < 30; file++) writeBig(repo, `${file}.bin`, 500);
      commit(repo, "many");
      const [first = "", second = ""] = ["0.bin", "1.bin"].map((name) => blob(repo, `HEAD:${name}`));
      const word = (oid: string, size: number) =>
        git(["hash-object", "-w", "--stdin"], { cwd: repo, input: `${oid} ${size} blob` });
      // Of another push, and what one that was killed the day before yesterday and one that still runs have made.
      for (let n = 0; n < others; n++) {
        const oid = `${n}`.padEnd(40, "a");
        git(["update-ref", `refs/odbs/big/${oid}`, word(oid, 1)], { cwd: repo });
      }
      const running = `refs/odbs-push/${Date.now()}-ab/${second}`;
      git(["update-ref", `refs/odbs-push/${Date.now() - 2 * 86_400_000}-ab/x`, word(first, 9)], {
        cwd: repo,
      });
      git(["update-ref", running, word(second, 9)], { cwd: repo });
      const other = git(["hash-object", "-w", "--stdin"], { cwd: origin, input: `${first} 500 blob` });
      git(["update-ref", `refs/odbs/big/${first}`, other], { cwd: origin });
      const { status, stderr } = gitOdb(["push"], { cwd: repo });
      expect([status, stderr]).toEqual([
        0,
        expect.stringContaining(`warning: origin has other words in refs/odbs/big/${first}`),
      ]);
      expect(blob(origin, `refs/odbs/big/${first}`)).toBe(other);
      expect(blob(origin, `refs/odbs/big/${second}`)).toBe(blob(repo, `refs/odbs/big/${second}`));
      expect(metadata(origin)).toHaveLength(30);
      const left = git(["for-each-ref", "--format=%(refname)", "refs/odbs-push"], { cwd: repo });
      expect(left.trim()).toBe(running);
    },
  );

  it("whose blobs a gc has taken at the wrong moment are written again", () => {
    const { repo, origin } = emptyFixture();
    writeBig(repo, "a.bin", 1000);
    commit(repo, "one");
    expectOk(gitOdb(["push", "-q", "--no-refs"], { cwd: repo }));
    const word = blob(repo, `refs/odbs/big/${blob(repo, "HEAD:a.bin")}`);
    rmSync(join(repo, ".git/objects", word.slice(0, 2), word.slice(2)));
    expect(gitOdb(["push", "-q"], { cwd: repo })).toMatchObject({ status: 0, stderr: "" });
    expect(metadata(origin)).toEqual([blob(repo, "HEAD:a.bin")]);
    expect(tryGit(["fsck"], { cwd: repo })).toMatchObject({ status: 0, stderr: "" });
  });

  it("that the remote has in other words stay as they are there", () => {
    const { repo, origin } = emptyFixture();
    writeBig(repo, "a.bin", 1000);
    commit(repo, "one");
    const oid = blob(repo, "HEAD:a.bin");
    const other = git(["hash-object", "-w", "--stdin"], { cwd: origin, input: `${oid} 1000 blob` });
    git(["update-ref", `refs/odbs/big/${oid}`, other], { cwd: origin });
    const { status, stderr } = gitOdb(["push"], { cwd: repo });
    expect([status, stderr]).toEqual([
      0,
      expect.stringContaining(`warning: origin has other words in refs/odbs/big/${oid}`),
    ]);
    expect(blob(origin, `refs/odbs/big/${oid}`)).toBe(other);
  });

  it("that the remote refuses fail the command, but hold up no push of git's", () => {
    const { repo, origin, store } = emptyFixture();
    const hook = join(origin, "hooks/update");
    mkdirSync(join(origin, "hooks"), { recursive: true });
    writeFileSync(hook, '#!/bin/sh\ncase "$1" in refs/odbs/*) exit 1;; esac\n');
    chmodSync(hook, 0o755);
    writeBig(repo, "a.bin", 1000);
    commit(repo, "one");
    const { status, stderr } = gitOdb(["push"], { cwd: repo });
    expect([status, stderr]).toEqual([
      128,
      expect.stringMatching(/fatal: origin does not take 1 metadata refs .*hook declined/),
    ]);
    expectOk(gitOdb(["push", "--no-refs"], { cwd: repo }));
    expectOk(gitOdb(["install", "-q"], { cwd: repo }));
    const pushed = tryGit(["push", "origin", "main"], { cwd: repo });
    expect([pushed.status, pushed.stderr]).toEqual([
      0,
      expect.stringContaining("warning: origin does not take 1 metadata refs"),
    ]);
    expect(stored(store)).toEqual([blob(repo, "HEAD:a.bin")]);
  });
});
