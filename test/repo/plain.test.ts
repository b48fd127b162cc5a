/** What is found without git must be what git finds; and in doubt nothing is. */

import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { openOdbHere } from "../../src/odb/session.js";
import { readConfig } from "../../src/repo/config.js";
import { openRepository } from "../../src/repo/git.js";
import { openPlainRepository } from "../../src/repo/plain.js";
import { mayHaveRef, refNames } from "../../src/repo/ref-files.js";
import { git, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

afterEach(() => vi.unstubAllEnvs());

const places = ["gitDir", "commonDir", "objectsDir", "workTree", "bare", "hash", "name"] as const;

async function expectAsGit(cwd: string): Promise<void> {
  const [plain, asked] = [openPlainRepository(cwd), await openRepository(cwd)];
  expect(plain && places.map((place) => plain[place])).toEqual(places.map((place) => asked[place]));
  expect(plain && (await readConfig(plain))).toEqual(await readConfig(asked));
}

describe("openPlainRepository", () => {
  it("finds what git finds: at the top, below it, through a link, with the GIT_DIR that git sets", async () => {
    const dir = tempRepo();
    mkdirSync(join(dir, "a/b"), { recursive: true });
    const link = join(tempDir(), "link");
    symlinkSync(join(dir, "a"), link);
    for (const cwd of [dir, join(dir, "a/b"), link]) await expectAsGit(cwd);
    vi.stubEnv("GIT_DIR", ".git");
    await expectAsGit(dir);
    vi.stubEnv("GIT_DIR", join(dir, ".git"));
    await expectAsGit(dir);
    expect(openPlainRepository(join(dir, "a"))).toBeUndefined();
  });

  it("leaves to git what is out of the ordinary", () => {
    const dir = tempRepo();
    git(["commit", "-q", "--allow-empty", "-m", "x"], { cwd: dir });
    const linked = join(tempDir(), "linked");
    git(["worktree", "add", "-q", linked], { cwd: dir });
    const submodule = join(dir, "sub");
    git(["init", "-q", "--separate-git-dir", join(tempDir(), "apart"), submodule]);
    const bareInside = join(dir, "bare");
    git(["init", "-q", "--bare", bareInside]);
    const outside = tempDir();
    const sha256 = tempRepo("--object-format=sha256");
    for (const cwd of [
      linked,
      submodule,
      bareInside,
      join(dir, ".git"),
      outside,
      join(outside, "no"),
      sha256,
    ])
      expect(openPlainRepository(cwd)?.gitDir).toBeUndefined();
    const linkedDir = tempRepo();
    renameSync(join(linkedDir, ".git"), join(linkedDir, "moved"));
    symlinkSync("moved", join(linkedDir, ".git"));
    expect(openPlainRepository(linkedDir)).toBeUndefined();
  });

  it.each(["GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_CEILING_DIRECTORIES"])(
    "leaves it to git when %s is set",
    (name) => {
      const dir = tempRepo();
      expect(openPlainRepository(dir)).toBeDefined();
      vi.stubEnv(name, join(dir, ".git"));
      expect(openPlainRepository(dir)).toBeUndefined();
    },
  );

  it.each([
    ["core.worktree", "/elsewhere"],
    ["core.bare", "true"],
    ["extensions.objectFormat", "sha1"],
    ["extensions.unheardOf", "x"],
  ])("leaves it to git when %s is %s", (key, value) => {
    const dir = tempRepo();
    git(["config", key, value], { cwd: dir });
    expect(openPlainRepository(dir)).toBeUndefined();
  });

  it("leaves a repository to git that git refuses", () => {
    const dir = tempRepo();
    git(["config", "core.repositoryformatversion", "99"], { cwd: dir });
    expect(openPlainRepository(dir)).toBeUndefined();
  });
});

describe("the names of refs", () => {
  it("are seen loose and packed, and none where there is none", async () => {
    const dir = tempRepo();
    const blob = git(["hash-object", "-w", "--stdin"], { cwd: dir, input: "x" });
    const repo = await openRepository(dir);
    const [packed, loose, gone] = ["a", "b", "c"].map((digit) => digit.repeat(40)) as [
      string,
      string,
      string,
    ];
    expect(refNames(repo, "refs/odbs/magic/")?.size).toBe(0);
    for (const name of [packed, gone, "sub/x"])
      git(["update-ref", `refs/odbs/magic/${name}`, blob], { cwd: dir });
    git(["pack-refs", "--all"], { cwd: dir });
    git(["update-ref", "-d", `refs/odbs/magic/${gone}`], { cwd: dir });
    git(["update-ref", `refs/odbs/magic/${loose}`, blob], { cwd: dir });
    git(["update-ref", `refs/odbs/other/${loose}`, blob], { cwd: dir });
    expect([...(refNames(repo, "refs/odbs/magic/") ?? [])].sort()).toEqual([packed, loose, "sub/x"]);
    for (const name of [packed, loose, "sub/x"])
      expect(mayHaveRef(repo, `refs/odbs/magic/${name}`)).toBe(true);
    for (const name of [gone, "x", "bundle", packed.slice(1)])
      expect(mayHaveRef(repo, `refs/odbs/magic/${name}`)).toBe(false);
  });

  it("are git's to tell where refs do not lie in files", async () => {
    const dir = tempRepo();
    const repo = await openRepository(dir);
    mkdirSync(join(dir, ".git/reftable"));
    expect(refNames(repo, "refs/odbs/magic/")).toBeUndefined();
    expect(mayHaveRef(repo, "refs/odbs/magic/bundle")).toBe(true);
  });
});

it("runs one git for a have of what is known, and asks git for refs that are not", async () => {
  const dir = tempRepo();
  const store = tempDir("store");
  git(["config", "odb.magic.url", store], { cwd: dir });
  const names = ["1".repeat(40), "2".repeat(40)];
  for (const oid of names) {
    const blob = git(["hash-object", "-w", "--stdin"], { cwd: dir, input: `${oid} 3 blob\n` });
    git(["update-ref", `refs/odbs/magic/${oid}`, blob], { cwd: dir });
    mkdirSync(join(store, "objects", oid.slice(0, 2)), { recursive: true });
    writeFileSync(join(store, "objects", oid.slice(0, 2), oid), "abc");
  }
  const log = recordGits();
  expect(await have(dir)).toEqual(names);
  expect(log()).toEqual(["config", "for-each-ref"]);
  expect(await have(dir)).toEqual(names);
  expect(log()).toEqual(["config"]);
});

async function have(cwd: string): Promise<string[]> {
  await using odb = await openOdbHere("magic", { haveNext: true }, cwd);
  const oids: string[] = [];
  for await (const { oid } of odb.have()) oids.push(oid);
  return oids.sort();
}

/** Puts a git first on PATH that notes its subcommands. @returns those since the last call */
function recordGits(): () => string[] {
  const folder = tempDir("path");
  const log = join(folder, "log");
  const real = git(["--exec-path"]);
  writeFileSync(join(folder, "git"), `#!/bin/sh\necho "$1" >>'${log}'\nexec '${real}/git' "$@"\n`);
  chmodSync(join(folder, "git"), 0o755);
  vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
  return () => {
    const lines = readdirSync(folder).includes("log") ? readFileSync(log, "utf8").trim().split("\n") : [];
    writeFileSync(log, "");
    return lines.filter((line) => line !== "");
  };
}
