/** Offload with stock git: what goes, what stays, and what git does afterwards. */

import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { gitOdb } from "../support/cli.js";
import { git, gitBytes } from "../support/git.js";
import {
  bigBlobs,
  commit,
  expectOk,
  fsck,
  keptPacks,
  missing,
  pushedFixture,
  useCommands,
} from "./fixture.js";

beforeAll(useCommands);

describe.each(["sha1", "sha256"])("a pushed repository, %s", (hash) => {
  it("drops what the store and the remote have, stays clean, and gets everything back", () => {
    const { repo } = pushedFixture({ hash });
    const before = new Map(
      bigBlobs(repo).map((oid) => [oid, gitBytes(["cat-file", "blob", oid], { cwd: repo })]),
    );
    const dry = expectOk(gitOdb(["offload", "-n"], { cwd: repo }));
    expect(dry.split("\n").sort().slice(1)).toEqual([...before.keys()].map((oid) => `${oid} 20000 blob`));
    expect(missing(repo)).toEqual([]);
    const { status, stderr } = gitOdb(["offload"], { cwd: repo });
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(/^ODB big: dropped 6 blobs, freed 11\d\.\d\d KiB\n$/),
    ]);
    expect(missing(repo)).toEqual([...before.keys()]);
    expect(fsck(repo)).toBe("");
    const summary = () => gitOdb(["status"], { cwd: repo }).stdout.split("\n").at(-2);
    expect(summary()).toBe("2 selected: 2 in the ODB (2 not here)");
    // The one way back, and the other.
    expectOk(gitOdb(["fetch", "-q"], { cwd: repo }));
    expect([missing(repo), fsck(repo), summary()]).toEqual([[], "", "2 selected: 2 in the ODB"]);
    expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
    expect(missing(repo)).toEqual([...before.keys()]);
    for (const [oid, bytes] of before)
      expect(gitBytes(["cat-file", "blob", oid], { cwd: repo }).equals(bytes)).toBe(true);
    expect(missing(repo)).toEqual([]);
    expect(fsck(repo)).toBe("");
    expect(gitOdb(["offload"], { cwd: repo }).stderr).toContain("dropped 6 blobs");
    expect(missing(repo)).toEqual([...before.keys()]);
    expect(readdirSync(join(repo, ".git/objects")).filter((name) => name.startsWith("git-odb"))).toEqual([]);
    expect(keptPacks(repo)).toEqual([]);
  });
});

it("keeps a small local blob of a tree whose big ones are gone: the trap of promised trees", () => {
  const { repo } = pushedFixture();
  writeFileSync(join(repo, "only-here.txt"), "only here\n");
  commit(repo, "not pushed");
  const only = git(["rev-parse", "HEAD:only-here.txt"], { cwd: repo });
  git(["gc", "-q"], { cwd: repo });
  expectOk(gitOdb(["offload", "-q"], { cwd: repo }));
  git(["update-ref", "refs/heads/other", "HEAD"], { cwd: repo });
  for (const args of [
    ["gc", "-q", "--prune=now"],
    ["repack", "-a", "-d", "-f", "-q"],
    ["prune", "--expire=now"],
  ]) {
    git(args, { cwd: repo });
    expect(git(["cat-file", "-p", only], { cwd: repo })).toBe("only here");
  }
  expect(fsck(repo)).toBe("");
});
