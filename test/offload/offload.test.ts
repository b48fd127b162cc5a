/** Offload with stock git: what goes, what stays, and what git does afterwards. */

import { randomBytes } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { gitOdb } from "../support/cli.js";
import { git, gitBytes } from "../support/git.js";
import { clonePerson, newPerson } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";
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

it("in a clone of a bucket drops what lies there by itself, and what is in its packs when a size is named", () => {
  const bucket = join(tempDir("bucket"), "b");
  const ann = newPerson(`odb::${bucket}`);
  ann.commit({
    ".gitattributes": "*.bin odb=media\n",
    "a.bin": randomBytes(3000),
    "plain.dat": randomBytes(3000),
  });
  ann.git("push", "-q", "-u", "origin", "main");
  const { dir } = clonePerson(`odb::${bucket}`);
  const { stderr } = gitOdb(["init", "media", bucket], { cwd: dir });
  // *.bin is tracked already.
  expect(stderr).toMatch(/^ODB media: /);
  expect(stderr).not.toContain("Next:");
  const blobs = (...names: string[]) => names.map((name) => ann.git("rev-parse", `HEAD:${name}`)).sort();
  expect(gitOdb(["offload"], { cwd: dir }).stderr).toContain("dropped 1 blob,");
  expect(missing(dir)).toEqual(blobs("a.bin"));
  expect(gitOdb(["offload", "--above", "1k"], { cwd: dir }).stderr).toContain("dropped 1 blob,");
  expect([missing(dir), fsck(dir)]).toEqual([blobs("a.bin", "plain.dat"), ""]);
  expectOk(gitOdb(["fetch", "-q"], { cwd: dir }));
  expect([missing(dir), fsck(dir)]).toEqual([[], ""]);
});
