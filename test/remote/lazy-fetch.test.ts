/** git asks an ODB for the blobs that it lacks: real gits, a store in a folder. */

import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv } from "../support/cli.js";
import { git, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";
import {
  asking,
  connect,
  fsck,
  gitWithOdb,
  launchesIn,
  lazyClone,
  leftovers,
  promisorObjects,
  talk,
} from "./lazy.js";

const files = {
  "empty.bin": "",
  "small.txt": "small\n",
  "text.txt": "line of a text that compresses well\n".repeat(60_000),
  "64k.bin": randomBytes(65_536),
  "one-over.bin": randomBytes(1024 * 1024 + 1),
  "large.bin": randomBytes(3_000_000),
  "larger.bin": randomBytes(5_000_000),
};

function sameFiles(dir: string, source: string, paths: readonly string[] = Object.keys(files)): boolean {
  return paths.every((path) => readFileSync(join(dir, path)).equals(readFileSync(join(source, path))));
}

describe("a checkout", () => {
  it.each(["sha1", "sha256"] as const)(
    "of %s blobs brings them in one batch, as one promisor pack",
    (hash) => {
      const { dir, source, oid } = lazyClone({ files, hash });
      const { status, stderr, launches } = gitWithOdb(["checkout", "-q", "main"], dir);
      expect({ status, stderr, launches }).toEqual({ status: 0, stderr: "", launches: 1 });
      expect(sameFiles(dir, source)).toBe(true);
      const promised = promisorObjects(dir);
      expect(Object.keys(files).every((path) => promised.includes(oid(path)))).toBe(true);
      expect(leftovers(dir)).toEqual([]);
      expect(fsck(dir)).toEqual({ status: 0, stderr: "" });
      // git's own word on pack and index.
      const folder = join(dir, ".git/objects/pack");
      for (const name of readdirSync(folder))
        if (name.endsWith(".idx")) git(["verify-pack", name], { cwd: folder });
    },
  );

  it("keeps clean through repack, gc and prune", () => {
    const { dir, source } = lazyClone({ files });
    gitWithOdb(["checkout", "-q", "main"], dir);
    const env = cliEnv({ GIT_TRACE: join(dir, "../trace") });
    for (const args of [
      ["repack", "-adq"],
      ["gc", "-q", "--prune=now"],
      ["prune", "--expire=now"],
    ])
      git(args, { cwd: dir, env });
    expect(launchesIn(readFileSync(join(dir, "../trace"), "utf8"))).toBe(0);
    expect(fsck(dir)).toEqual({ status: 0, stderr: "" });
    git(["checkout", "-q", "--force", "main"], { cwd: dir, env });
    expect(sameFiles(dir, source)).toBe(true);
  });

  it("works in a linked worktree, where GIT_DIR has no objects", () => {
    const { dir, source } = lazyClone({ files });
    const tree = join(dirname(dir), "tree");
    const { status, stderr } = gitWithOdb(["worktree", "add", "-q", "--detach", tree, "main"], dir);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(sameFiles(tree, source)).toBe(true);
    expect(fsck(tree).status).toBe(0);
  });

  it("works in a linked worktree's own git commands, and in a subfolder", () => {
    const { dir, oid } = lazyClone({ files });
    const tree = join(dirname(dir), "tree");
    git(["worktree", "add", "-q", "--no-checkout", "--detach", tree, "main"], { cwd: dir });
    mkdirSync(join(tree, "deep/er"), { recursive: true });
    const { stdout, launches } = gitWithOdb(["cat-file", "-s", oid("large.bin")], join(tree, "deep/er"));
    expect({ stdout, launches }).toEqual({ stdout: "3000000\n", launches: 1 });
    expect(promisorObjects(dir)).toContain(oid("large.bin"));
  });

  it("works in a bare repository, and in one that borrows from an alternate", () => {
    const { dir, store, oid } = lazyClone({ files });
    const root = tempDir("borrow");
    const [bare, borrower] = [join(root, "bare"), join(root, "borrower")];
    git(["init", "-q", "--bare", bare]);
    writeFileSync(join(bare, "objects/info/alternates"), `${join(dir, ".git/objects")}\n`);
    git(["clone", "-q", "--no-checkout", "--shared", dir, borrower]);
    for (const repository of [bare, borrower]) {
      git(["config", "remote.origin.promisor", "true"], { cwd: repository });
      git(["config", "remote.origin.partialclonefilter", "x"], { cwd: repository });
      connect(repository, store, false);
      const { stdout, stderr } = gitWithOdb(["cat-file", "-s", oid("large.bin")], repository);
      expect({ stdout, stderr }).toEqual({ stdout: "3000000\n", stderr: "" });
      expect(promisorObjects(repository)).toEqual([oid("large.bin")]);
    }
    expect(
      tryGit(["cat-file", "-e", oid("large.bin")], { cwd: dir, env: { GIT_NO_LAZY_FETCH: "1" } }).status,
    ).not.toBe(0);
  });

  it("reads an ODB with several URLs by its name", () => {
    const { dir, source, store, oid, stored } = lazyClone({ files, absent: ["large.bin"] });
    const second = tempDir("second");
    const path = join(second, stored("large.bin").slice(store.length));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, files["large.bin"]);
    git(["config", "--add", "odb.m.url", second], { cwd: dir });
    git(["config", "remote.odb-m.url", "odb::odb:m"], { cwd: dir });
    const { status, stderr, launches } = gitWithOdb(["checkout", "-q", "main"], dir);
    expect({ status, stderr, launches }).toEqual({ status: 0, stderr: "", launches: 1 });
    expect(sameFiles(dir, source)).toBe(true);
    expect(promisorObjects(dir)).toContain(oid("large.bin"));
  });

  it("gives the object store's own permissions to the pack", () => {
    const { dir } = lazyClone({ files });
    const folder = join(dir, ".git/objects/pack");
    chmodSync(folder, 0o750);
    gitWithOdb(["checkout", "-q", "main"], dir);
    const modes = readdirSync(folder).map((name) => statSync(join(folder, name)).mode & 0o7777);
    expect(modes.filter((mode) => mode === 0o440)).toHaveLength(3);
  });
});

describe("a store that has not everything", () => {
  it("gives what it has, and git asks the next promisor for the rest alone", () => {
    const { dir, source, oid } = lazyClone({ files, absent: ["small.txt", "large.bin"], origin: true });
    const trace = join(dir, "../packets");
    const { status, launches } = gitWithOdb(["checkout", "-q", "main"], dir, { GIT_TRACE_PACKET: trace });
    expect({ status, launches }).toEqual({ status: 0, launches: 1 });
    expect(sameFiles(dir, source)).toBe(true);
    const asked = [...readFileSync(trace, "utf8").matchAll(/fetch> want ([0-9a-f]+)/g)].map(
      ([, name]) => name,
    );
    expect(asked.sort()).toEqual([oid("small.txt"), oid("large.bin")].sort());
    expect(fsck(dir)).toEqual({ status: 0, stderr: "" });
  });

  it("is silent about it, and ends with exit code 1", async () => {
    const { dir, store, oid } = lazyClone({ files, absent: ["small.txt"] });
    const { status, stdout, stderr } = await talk(dir, store, asking(oid("small.txt"), oid("64k.bin")));
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: "ok\nok\n\n", stderr: "" });
    expect(promisorObjects(dir)).toContain(oid("64k.bin"));
    expect(leftovers(dir)).toEqual([]);
  });

  it("leaves no pack when it has nothing", async () => {
    const { dir, store, oid } = lazyClone({ files, absent: Object.keys(files) });
    const before = promisorObjects(dir);
    expect((await talk(dir, store, asking(oid("small.txt")))).status).toBe(1);
    expect(promisorObjects(dir)).toEqual(before);
    expect(leftovers(dir)).toEqual([]);
  });

  it.each(["small.txt", "large.bin", "64k.bin"])(
    "never installs %s when its bytes are wrong",
    async (path) => {
      const { dir, store, oid, stored } = lazyClone({ files });
      const bytes = readFileSync(stored(path));
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 2) ^ 1, bytes.length - 2);
      writeFileSync(stored(path), bytes);
      const others = Object.keys(files).filter((each) => each !== path);
      const all = [path, ...others].map(oid);
      const { status, stderr } = await talk(dir, store, asking(...all));
      expect(status).toBe(1);
      expect(stderr).toMatch(new RegExp(`^git-remote-odb: object ${oid(path)}.*not installed\n$`));
      expect(promisorObjects(dir)).not.toContain(oid(path));
      expect(others.every((each) => promisorObjects(dir).includes(oid(each)))).toBe(true);
      expect(fsck(dir).status).toBe(0);
      expect(leftovers(dir)).toEqual([]);
    },
  );
});

describe("a full disk", () => {
  it("ends in one line, and leaves nothing behind", () => {
    const { dir, store, oid } = lazyClone({ files });
    const before = promisorObjects(dir);
    // A file may not grow beyond 2 MiB: what writes to a full disk sees another errno, and the same code of ours.
    const script = `ulimit -f 2048; exec "${join(import.meta.dirname, "../../dist/bin/git-remote-odb.cjs")}" odb-m "${store}"`;
    const done = tryGitShell(script, dir, asking(oid("small.txt"), oid("large.bin")));
    expect(done.status).toBe(128);
    expect(done.stderr).toMatch(/^git-remote-odb: .*EFBIG.*\n$/);
    expect(promisorObjects(dir)).toEqual(before);
    expect(leftovers(dir)).toEqual([]);
  });
});

describe("submodules", () => {
  it("need protocol.odb.allow for what the repository above does on their behalf", () => {
    const { dir } = lazyClone({ files });
    const env = { GIT_PROTOCOL_FROM_USER: "0" };
    const refused = gitWithOdb(["checkout", "-q", "main"], dir, env);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("transport 'odb' not allowed");
    git(["config", "protocol.odb.allow", "always"], { cwd: dir });
    expect(gitWithOdb(["checkout", "-q", "main"], dir, env).status).toBe(0);
    expect(existsSync(join(dir, "large.bin"))).toBe(true);
  });
});

function tryGitShell(script: string, cwd: string, input: string) {
  const alias = `!f() { ${script}; }; f`;
  return tryGit(["-c", `alias.limited=${alias}`, "limited"], {
    cwd,
    input,
    env: { GIT_DIR: join(cwd, ".git") },
  });
}
