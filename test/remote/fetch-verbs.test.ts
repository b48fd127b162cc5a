/** `git odb fetch` and `git odb pull`: in one batch what git would ask for one by one. */

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv, gitOdb, meanwhile } from "../support/cli.js";
import { git, spawnGit, tryGit } from "../support/git.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";
import { fsck, gitWithOdb, type LazyClone, lazyClone, leftovers, promisorObjects } from "./lazy.js";

const files = {
  "top.bin": randomBytes(70_000),
  "a/one.bin": randomBytes(70_000),
  "a/two.txt": "first\nsecond\nthird\n".repeat(5000),
  "b/three.bin": randomBytes(1_200_000),
};

function has({ dir, oid }: LazyClone, path: string): boolean {
  return promisorObjects(dir).includes(oid(path));
}

/** What of the files has arrived. */
function arrived(clone: LazyClone): string[] {
  return Object.keys(files).filter((path) => has(clone, path));
}

/** A second commit in the source that changes one file; the clone and the store learn of it. @returns the new blob */
function commitAgain(clone: LazyClone, path: string, content: string): string {
  writeFileSync(join(clone.source, path), content);
  git(["commit", "-qam", "two"], { cwd: clone.source });
  const oid = git(["rev-parse", `HEAD:${path}`], { cwd: clone.source });
  mkdirSync(join(clone.store, "objects", oid.slice(0, 2)), { recursive: true });
  writeFileSync(join(clone.store, "objects", oid.slice(0, 2), oid), content);
  git(["fetch", "-q", "--filter=blob:none", "origin", "main"], { cwd: clone.dir });
  git(["config", "remote.origin.promisor", "false"], { cwd: clone.dir });
  tryGit(["config", "--unset", "remote.origin.partialclonefilter"], { cwd: clone.dir });
  git(["update-ref", "refs/heads/main", "FETCH_HEAD"], { cwd: clone.dir });
  return oid;
}

describe("git odb fetch", () => {
  it("brings the whole history, so that blame, log -p and archive ask for nothing", () => {
    const clone = lazyClone({ files });
    const changed = commitAgain(clone, "a/two.txt", "second\nthird\n".repeat(5000));
    const { status, stderr } = gitOdb(["fetch"], { cwd: clone.dir });
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: expect.stringMatching(/^Fetched 5 objects, 1\.\d\d MiB, from ODB m\n$/),
    });
    expect(promisorObjects(clone.dir)).toContain(changed);
    for (const args of [
      ["log", "-p", "--binary"],
      ["blame", "main", "--", "a/two.txt"],
      ["archive", "main"],
      ["cat-file", "-s", changed],
    ]) {
      expect(gitWithOdb(args, clone.dir)).toMatchObject({ status: 0, launches: 0 });
    }
    expect(fsck(clone.dir)).toEqual({ status: 0, stderr: "" });
    expect(gitOdb(["fetch"], { cwd: clone.dir })).toMatchObject({ status: 0, stderr: "", stdout: "" });
  });

  it("takes paths, relative to the folder, and --tip", () => {
    const clone = lazyClone({ files });
    const old = clone.oid("a/two.txt");
    commitAgain(clone, "a/two.txt", "new\n");
    mkdirSync(join(clone.dir, "a"));
    expect(gitOdb(["fetch", "-q", "--", "one.bin"], { cwd: join(clone.dir, "a") }).status).toBe(0);
    expect(arrived(clone)).toEqual(["a/one.bin"]);
    expect(gitOdb(["fetch", "-q", "--tip", "main"], { cwd: clone.dir }).status).toBe(0);
    expect(arrived(clone)).toEqual(["top.bin", "a/one.bin", "b/three.bin"]);
    expect(gitOdb(["fetch", "-q", "main~1"], { cwd: clone.dir }).status).toBe(0);
    expect(promisorObjects(clone.dir)).toContain(old);
  });

  it("of a revision's paths lets these be used when the store is gone", async () => {
    const clone = lazyClone({ files });
    commitAgain(clone, "a/two.txt", "second\nthird\n".repeat(5000));
    const server = await startStaticServer(clone.store);
    for (const key of ["odb.m.url", "remote.odb-m.url"])
      git(["config", key, key === "odb.m.url" ? server.url : `odb::${server.url}`], { cwd: clone.dir });
    const run = (...args: string[]) => spawnGit(args, { cwd: clone.dir, env: cliEnv() });
    expect(await run("odb", "fetch", "-q", "main", "--", "a")).toMatchObject({ status: 0, stderr: "" });
    await server.close();
    const before = promisorObjects(clone.dir);
    for (const args of [
      ["checkout", "main", "--", "a"],
      // Not `main a`: for that git wants every blob of the tree.
      ["archive", "main:a"],
      ["archive", "main~1:a"],
      ["blame", "main", "--", "a/two.txt"],
      ["log", "-p", "--binary", "main", "--", "a"],
      ["diff", "main~1", "main", "--", "a"],
    ]) {
      expect([args[0], await run(...args)]).toEqual([args[0], expect.objectContaining({ status: 0 })]);
    }
    expect(readFileSync(join(clone.dir, "a/one.bin")).equals(files["a/one.bin"])).toBe(true);
    expect(promisorObjects(clone.dir)).toEqual(before);
    // The store was gone, indeed.
    expect((await run("archive", "main:b")).status).not.toBe(0);
  });

  it("says with --dry-run what is missing, and brings nothing; --all looks at every ref", () => {
    const clone = lazyClone({ files });
    const listed = gitOdb(["fetch", "-n", "--all"], { cwd: clone.dir });
    expect(listed.stdout.trim().split("\n").sort()).toEqual(Object.keys(files).map(clone.oid).sort());
    expect(arrived(clone)).toEqual([]);
    expect(gitOdb(["fetch", "-q", "--all"], { cwd: clone.dir }).status).toBe(0);
    expect(arrived(clone)).toHaveLength(4);
  });

  it("brings what the store has, names what nobody has, and exits 1", () => {
    const clone = lazyClone({ files, absent: ["a/one.bin"] });
    const { status, stderr } = gitOdb(["fetch", "-q"], { cwd: clone.dir });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `warning: object ${clone.oid("a/one.bin")} is missing, and in no ODB\n`,
    });
    expect(arrived(clone)).toEqual(["top.bin", "a/two.txt", "b/three.bin"]);
  });

  it("leaves to another promisor what the ODBs do not have, and exits 0", () => {
    const clone = lazyClone({ files, absent: ["a/one.bin"], origin: true });
    const { status, stderr } = gitOdb(["fetch"], { cwd: clone.dir });
    expect(status).toBe(0);
    expect(stderr).toContain("1 object in no ODB; git asks origin");
    expect(gitWithOdb(["checkout", "-q", "main"], clone.dir).status).toBe(0);
  });

  it("asks a store's listing when hundreds of blobs are missing that are no ODB's", () => {
    const many = Object.fromEntries(
      Array.from({ length: 250 }, (_, n) => [`small/${n}.txt`, `small ${n}\n`]),
    );
    const clone = lazyClone({ files: { ...files, ...many }, absent: Object.keys(many), origin: true });
    const { status, stderr } = gitOdb(["fetch"], { cwd: clone.dir });
    expect(status).toBe(0);
    expect(stderr).toMatch(/^Fetched 4 objects/);
    expect(stderr).toContain("250 objects in no ODB");
  });

  it("writes again what git gc takes away while it is written, within bounds", () => {
    const clone = lazyClone({ files });
    const pruned = (times: number) => {
      const prune = { call: "rename", path: "/tmp_(?:pack|idx)_", times, git: "prune --expire=now" } as const;
      const env = meanwhile(clone.dir, prune);
      return gitOdb(["fetch", "--tip", "-q", "--", "b"], { cwd: clone.dir, env });
    };
    const { status, stderr } = pruned(Number.POSITIVE_INFINITY);
    expect([status, stderr]).toEqual([
      128,
      expect.stringMatching(/^fatal: \S+ was removed .*when that is done\n$/),
    ]);
    expect([arrived(clone), leftovers(clone.dir)]).toEqual([[], []]);
    expect(pruned(2)).toMatchObject({ status: 0, stderr: "" });
    expect([arrived(clone), leftovers(clone.dir)]).toEqual([["b/three.bin"], []]);
    expect(fsck(clone.dir)).toEqual({ status: 0, stderr: "" });
  });

  it("does not install a broken object, and says so", () => {
    const clone = lazyClone({ files });
    writeFileSync(clone.stored("top.bin"), randomBytes(70_000));
    const { status, stderr } = gitOdb(["fetch", "-q"], { cwd: clone.dir });
    expect(status).toBe(1);
    expect(stderr).toContain(`object ${clone.oid("top.bin")}`);
    expect(stderr).toContain("not installed");
    expect(arrived(clone)).toEqual(["a/one.bin", "a/two.txt", "b/three.bin"]);
  });

  it("names a store that is gone in one line", () => {
    const clone = lazyClone({ files });
    renameSync(clone.store, `${clone.store}-away`);
    const { status, stderr } = gitOdb(["fetch", "-q"], { cwd: clone.dir });
    expect(status).toBe(128);
    expect(stderr).toMatch(/^fatal: [^\n]+\n$/);
    expect(stderr).toContain(clone.store);
  });

  it.each([
    [["no-such-branch"], 128],
    [["--all", "main"], 129],
    [["--output=x"], 129],
  ])("refuses %j", (args, code) => {
    const clone = lazyClone({ files: { a: "a" } });
    expect(gitOdb(["fetch", ...args], { cwd: clone.dir }).status).toBe(code);
  });

  it("has nothing to do before the first commit", () => {
    const dir = tempDir("empty");
    git(["init", "-q", dir]);
    expect(gitOdb(["fetch"], { cwd: dir })).toMatchObject({ status: 0 });
    expect(gitOdb(["pull"], { cwd: dir })).toMatchObject({ status: 0 });
  });

  it("moves what the reference client keeps in objects/external, verified, to where every git looks", () => {
    const clone = lazyClone({ files });
    const good = keepExternal(clone, "top.bin");
    const broken = keepExternal(clone, "a/one.bin");
    const bytes = readFileSync(broken);
    writeFileSync(broken, bytes.subarray(0, bytes.length - 100));
    // A store that cannot help: what arrives comes from objects/external.
    rmSync(join(clone.store, "objects"), { recursive: true });
    const { stderr } = gitOdb(["fetch"], { cwd: clone.dir });
    expect(stderr).toContain("Moved 1 object from objects/external");
    expect(stderr).toContain(clone.oid("a/one.bin"));
    expect(arrived(clone)).toEqual(["top.bin"]);
    expect([existsSync(good), existsSync(broken)]).toEqual([false, true]);
    expect(fsck(clone.dir).status).toBe(0);
  });
});

/** As the reference client stores an object that its helper gave. */
function keepExternal({ dir, source, oid }: LazyClone, path: string): string {
  const below = join(oid(path).slice(0, 2), oid(path).slice(2));
  const target = join(dir, ".git/objects/external", below);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, readFileSync(join(source, ".git/objects", below)));
  return target;
}

describe("git odb pull", () => {
  it("brings what the checkout needs, and no history", () => {
    const clone = lazyClone({ files });
    const old = clone.oid("a/two.txt");
    const changed = commitAgain(clone, "a/two.txt", "new\n");
    expect(gitOdb(["pull"], { cwd: clone.dir }).status).toBe(0);
    expect(promisorObjects(clone.dir)).toContain(changed);
    expect(promisorObjects(clone.dir)).not.toContain(old);
    expect(gitWithOdb(["checkout", "-q", "-f", "main"], clone.dir)).toMatchObject({ status: 0, launches: 0 });
  });

  it("leaves out what a sparse checkout leaves out, before and after there is an index", () => {
    const clone = lazyClone({ files });
    git(["sparse-checkout", "set", "--cone", "a"], { cwd: clone.dir });
    expect(gitOdb(["pull", "-q"], { cwd: clone.dir }).status).toBe(0);
    expect(arrived(clone)).toEqual(["top.bin", "a/one.bin", "a/two.txt"]);
    expect(gitWithOdb(["checkout", "-q", "-f", "main"], clone.dir)).toMatchObject({ status: 0, launches: 0 });
    expect(gitOdb(["pull"], { cwd: clone.dir })).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(join(clone.dir, "b"))).toBe(false);
  });

  it("looks at this worktree's own index", () => {
    const clone = lazyClone({ files });
    const tree = join(dirname(clone.dir), "tree");
    git(["worktree", "add", "-q", "--no-checkout", "--detach", tree, "main"], { cwd: clone.dir });
    expect(gitOdb(["pull", "-q"], { cwd: tree }).status).toBe(0);
    expect(arrived(clone)).toHaveLength(4);
  });

  it("needs a work tree", () => {
    const dir = tempDir("bare");
    git(["init", "-q", "--bare", dir]);
    const { status, stderr } = gitOdb(["pull"], { cwd: dir });
    expect(status).toBe(128);
    expect(stderr).toContain("git odb fetch");
  });
});

describe("git odb init", () => {
  const config = (dir: string, key: string) =>
    tryGit(["config", "--get-all", key], { cwd: dir }).stdout.trim();

  it("makes the ODB a promisor, and running it again changes nothing", () => {
    const clone = lazyClone({ files });
    const folder = tempDir("init");
    expect(gitOdb(["init", "-q", "media", folder], { cwd: clone.dir })).toMatchObject({
      status: 0,
      stderr: "",
    });
    const written = readFileSync(join(clone.dir, ".git/config"), "utf8");
    expect(config(clone.dir, "remote.odb-media.url")).toBe(`odb::file://${folder}`);
    expect(config(clone.dir, "remote.odb-media.promisor")).toBe("true");
    expect(config(clone.dir, "remote.odb-media.partialclonefilter")).toBe("blob:none");
    expect(config(clone.dir, "extensions.partialClone")).toBe("");
    gitOdb(["init", "-q", "media", folder], { cwd: clone.dir });
    expect(readFileSync(join(clone.dir, ".git/config"), "utf8")).toBe(written);
    // Nothing that goes through all remotes stumbles over it.
    for (const args of [
      ["fetch", "-q", "--all"],
      ["remote", "update"],
    ]) {
      git(["config", "remote.odb-m.skipFetchAll", "true"], { cwd: clone.dir });
      git(["config", "remote.odb-m.skipDefaultUpdate", "true"], { cwd: clone.dir });
      expect(gitWithOdb(args, clone.dir)).toMatchObject({ status: 0, launches: 0 });
    }
    expect(gitOdb(["deinit", "-q", "media"], { cwd: clone.dir }).status).toBe(0);
    expect(config(clone.dir, "remote.odb-media.url")).toBe("");
  });

  it("puts the ODB before the remote of a partial clone, and leaves a first lazy fetch nothing to write", () => {
    const clone = lazyClone({ files });
    git(["config", "--remove-section", "remote.odb-m"], { cwd: clone.dir });
    git(["config", "--remove-section", "odb.m"], { cwd: clone.dir });
    git(["config", "remote.origin.promisor", "true"], { cwd: clone.dir });
    git(["config", "remote.origin.partialclonefilter", "blob:none"], { cwd: clone.dir });
    const { stderr } = gitOdb(["init", "m", clone.store], { cwd: clone.dir });
    expect(stderr).toContain("before origin");
    expect(config(clone.dir, "extensions.partialClone")).toBe("origin");
    const written = readFileSync(join(clone.dir, ".git/config"), "utf8");
    rmSync(join(clone.source, ".git"), { recursive: true });
    expect(gitWithOdb(["checkout", "-q", "main"], clone.dir)).toMatchObject({ status: 0, launches: 1 });
    expect(readFileSync(join(clone.dir, ".git/config"), "utf8")).toBe(written);
  });

  it("leaves a remote of that name alone that is somebody else's", () => {
    const dir = tempDir("taken");
    git(["init", "-q", dir]);
    git(["remote", "add", "odb-media", "https://host.example/x"], { cwd: dir });
    const { status, stderr } = gitOdb(["init", "-q", "media", tempDir("init")], { cwd: dir });
    expect(status).toBe(0);
    expect(stderr).toContain("remote odb-media is not ours");
    expect(config(dir, "remote.odb-media.url")).toBe("https://host.example/x");
    gitOdb(["deinit", "-q", "media"], { cwd: dir });
    expect(config(dir, "remote.odb-media.url")).toBe("https://host.example/x");
  });

  it("reads several URLs by the ODB's name", () => {
    const dir = tempDir("tiers");
    git(["init", "-q", dir]);
    gitOdb(["init", "-q", "media", tempDir("init"), tempDir("init")], { cwd: dir });
    expect(config(dir, "remote.odb-media.url")).toBe("odb::odb:media");
  });

  it("tells in a submodule what git asks for there", () => {
    const [above, below] = [tempDir("above"), tempDir("below")];
    git(["init", "-q", above]);
    git(["init", "-q", "-b", "main", below]);
    git(["commit", "-q", "--allow-empty", "-m", "one"], { cwd: below });
    git(["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", below, "sub"], { cwd: above });
    const { stderr } = gitOdb(["init", "media", tempDir("init")], { cwd: join(above, "sub") });
    expect(stderr).toContain("git config protocol.odb.allow always");
    const dropping = () => gitOdb(["offload"], { cwd: join(above, "sub") }).stderr;
    expect(dropping()).toMatch(
      /^warning: This is a submodule: .*protocol.odb.allow always\n.*dropped 0 blobs/,
    );
    git(["config", "protocol.odb.allow", "always"], { cwd: join(above, "sub") });
    expect(dropping()).not.toContain("submodule");
  });
});
