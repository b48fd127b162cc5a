/** The verbs that work on an ODB, as processes in real repositories with a store in a folder. */

import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { gitOdb } from "./support/cli.js";
import { bin, git, tempRepo, tryGit } from "./support/git.js";
import { tempDir } from "./support/temp.js";

/** A repository with an ODB `big` for `*.bin`, its store empty. */
function repoWithOdb(...initArgs: string[]): { repo: string; store: string } {
  const repo = tempRepo(...initArgs);
  const store = join(tempDir("store"), "objects of mine");
  expect(gitOdb(["init", "-q", "big", store], { cwd: repo }).status).toBe(0);
  expect(gitOdb(["track", "-q", "big", "*.bin"], { cwd: repo }).status).toBe(0);
  return { repo, store };
}

function addFile(repo: string, path: string, content: string): string {
  mkdirSync(dirname(join(repo, path)), { recursive: true });
  writeFileSync(join(repo, path), content);
  git(["add", "-A"], { cwd: repo });
  return git(["rev-parse", `:${path}`], { cwd: repo });
}

function storedFile(store: string, oid: string): string {
  return join(store, "objects", oid.slice(0, 2), oid);
}

function localFile(repo: string, oid: string): string {
  return join(repo, ".git/objects", oid.slice(0, 2), oid.slice(2));
}

function config(repo: string): string[] {
  return git(["config", "--local", "--list"], { cwd: repo })
    .split("\n")
    .filter((line) => /^odb|threshold/.test(line))
    .sort();
}

describe("init and deinit", () => {
  it("writes the settings of the repository, makes the bucket ready, and does it again without a change", () => {
    const repo = tempRepo("--object-format=sha256");
    const store = tempDir("store");
    mkdirSync(join(repo, "sub"));
    const relative = join("..", "..", store.slice(dirname(store).length + 1));
    const first = gitOdb(["init", "big", relative], { cwd: join(repo, "sub") });
    expect([first.status, first.stdout]).toEqual([0, ""]);
    expect(config(repo)).toEqual([
      "odb.big.subprocesscommand=git-odb-helper-file --name big",
      `odb.big.url=${pathToFileURL(store)}`,
    ]);
    const settings = JSON.parse(readFileSync(join(store, "git-odb.json"), "utf8"));
    expect(settings).toEqual({ version: 1, layout: "raw", hash: "sha256", kind: "store" });
    const before = readFileSync(join(repo, ".git/config"), "utf8");
    expect(gitOdb(["init", "-q", "big", store], { cwd: repo }).status).toBe(0);
    expect(readFileSync(join(repo, ".git/config"), "utf8")).toBe(before);
  });

  it("switches between the modes, with the threshold that keeps big files from script mode", () => {
    const repo = tempRepo();
    const store = tempDir("store");
    const init = (...args: string[]) => gitOdb(["init", "-q", ...args, "big", store], { cwd: repo }).status;
    const url = `odb.big.url=${pathToFileURL(store)}`;
    expect(init("--script", "--get=raw")).toBe(0);
    const command = "odb.big.scriptcommand=git-odb-helper-file --name big";
    expect(config(repo)).toEqual(["core.bigfilethreshold=8m", "odb.big.get=raw", command, url]);
    expect(init("--get=git")).toBe(0);
    expect(config(repo)).toEqual(["odb.big.subprocesscommand=git-odb-helper-file --name big", url]);
    git(["config", "core.bigFileThreshold", "1m"], { cwd: repo });
    expect(init("--script")).toBe(0);
    expect(config(repo)[0]).toBe("core.bigfilethreshold=1m");
    git(["config", "core.bigFileThreshold", "1g"], { cwd: repo });
    expect(init("--script")).toBe(0);
    expect(config(repo)[0]).toBe("core.bigfilethreshold=8m");
    expect(gitOdb(["deinit", "-q", "big"], { cwd: repo }).status).toBe(0);
    expect(config(repo)).toEqual([]);
  });

  it("takes a bare repository for a store as it is, and asks for loose layout in the URL", () => {
    const repo = tempRepo();
    const bare = tempRepo("--bare");
    expect(gitOdb(["init", "-q", "big", bare], { cwd: repo }).status).toBe(0);
    expect(existsSync(join(bare, "git-odb.json"))).toBe(false);
    const loose = join(tempDir("store"), "loose");
    expect(gitOdb(["init", "-q", "other", `${loose}?layout=loose`], { cwd: repo }).status).toBe(0);
    expect(JSON.parse(readFileSync(join(loose, "git-odb.json"), "utf8")).layout).toBe("loose");
    expect(config(repo)).toContain(`odb.other.url=${pathToFileURL(loose)}?layout=loose`);
  });

  it("says in one line what cannot be, and writes nothing", () => {
    const repo = tempRepo();
    const sha256 = tempDir("store");
    gitOdb(["init", "-q", "x", sha256], { cwd: tempRepo("--object-format=sha256") });
    const file = join(tempDir(), "file");
    writeFileSync(file, "");
    const cases: [string[], number, RegExp][] = [
      [["init", "big", "https://me:hunter2@example.com/x"], 129, /no user name or password in the URL/],
      [["init", "big", "gopher://example.com/"], 129, /expected a path, file:\/\/, http/],
      [["init", "big", "/tmp/x?layuot=raw"], 129, /unknown option "layuot"/],
      [["init", "big", "memory:"], 129, /would not last/],
      [["init", "..", "/tmp/x"], 129, /is no ODB name/],
      [["init", "set", "/tmp/x"], 129, /cannot name an ODB/],
      [["init", "big", sha256], 128, /sha256/],
      [["init", "big", file], 128, /file/],
    ];
    for (const [args, status, message] of cases) {
      const done = gitOdb(args, { cwd: repo });
      expect([args, done.status, done.stdout]).toEqual([args, status, ""]);
      expect(done.stderr).toMatch(/^fatal: [^\n]*\n$/);
      expect(done.stderr).toMatch(message);
      expect(done.stderr).not.toContain("hunter2");
    }
    expect(config(repo)).toEqual([]);
    expect(gitOdb(["init", "big", sha256], { cwd: tempDir() }).status).toBe(128);
  });

  it("does not give an ODB another store behind the user's back, and leaves that store alone", () => {
    const { repo } = repoWithOdb();
    const other = join(tempDir(), "other");
    const { status, stderr } = gitOdb(["init", "big", other], { cwd: repo });
    expect(status).toBe(128);
    expect(stderr).toMatch(/^fatal: ODB "big" has the URL file:.* already: run "git odb deinit big" first/);
    expect(existsSync(other)).toBe(false);
  });

  it("tells that the helper is missing, once it is", () => {
    const repo = tempRepo();
    const folder = tempDir("bin");
    symlinkSync(bin("git-odb"), join(folder, "git-odb"));
    const env = { PATH: `${folder}:${process.env.PATH}` };
    const { status, stderr } = gitOdb(["init", "-q", "big", tempDir("store")], { cwd: repo, env });
    expect(status).toBe(0);
    expect(stderr).toMatch(
      /^warning: git-odb-helper-file and git-remote-odb are not on PATH.*npm install -g git-odb/,
    );
  });

  it("deinit keeps what still waits for the store", () => {
    const { repo } = repoWithOdb();
    const queue = join(repo, ".git/odb/big/queue");
    const oid = addFile(repo, "a.bin", "waits");
    mkdirSync(queue, { recursive: true });
    writeFileSync(join(queue, oid), `${oid} 5 blob\n`);
    const refused = gitOdb(["deinit", "big"], { cwd: repo });
    expect([refused.status, refused.stderr]).toEqual([
      128,
      expect.stringMatching(/^fatal: 1 objects wait for ODB big: run "git odb put --queued big"/),
    ]);
    expect(config(repo)).toHaveLength(2);
    const status = gitOdb(["status", "--porcelain"], { cwd: repo });
    expect(status.stdout).toBe(`queued L-Q big ${oid} 5 a.bin\n`);
    const sent = gitOdb(["put", "--queued", "big"], { cwd: repo });
    expect([sent.status, sent.stdout]).toEqual([0, `${oid} 5 blob\n`]);
    expect(gitOdb(["deinit", "big"], { cwd: repo }).status).toBe(0);
    expect(existsSync(join(repo, ".git/odb/big"))).toBe(false);
    expect(gitOdb(["deinit", "big"], { cwd: repo }).status).toBe(0);
  });
});

describe("put, get, status, ls", () => {
  let repo: string;
  let store: string;
  let one: string;
  let two: string;

  beforeAll(() => {
    ({ repo, store } = repoWithOdb());
    one = addFile(repo, "one.bin", "first");
    two = addFile(repo, 'sub/"é two".bin', "second one");
    addFile(repo, "plain.txt", "not selected");
    git(["commit", "-q", "-m", "files"], { cwd: repo });
  });

  it("puts files, ids and revisions, with their metadata refs", () => {
    expect(gitOdb(["status"], { cwd: repo }).stdout).toMatch(/2 selected: 2 local only\n/);
    const done = gitOdb(["put", "big", "one.bin"], { cwd: repo });
    expect([done.status, done.stdout, done.stderr]).toEqual([0, `${one} 5 blob\n`, ""]);
    expect(readFileSync(storedFile(store, one), "utf8")).toBe("first");
    expect(git(["cat-file", "-p", `refs/odbs/big/${one}`], { cwd: repo })).toBe(`${one} 5 blob`);
    const stdin = gitOdb(["put", "big", "--stdin"], {
      cwd: join(repo, "sub"),
      input: `${one}\n\nHEAD:sub/"é two".bin\n`,
    });
    expect(stdin.stdout.split("\n").sort()).toEqual(["", `${two} 10 blob`, `${one} 5 blob`].sort());
    const untracked = join(repo, "sub/new file");
    writeFileSync(untracked, "new");
    expect(gitOdb(["put", "big", "new file"], { cwd: join(repo, "sub") }).stdout).toMatch(
      /^[0-9a-f]{40} 3 blob\n$/,
    );
    rmSync(untracked);
  });

  it("shows each selected path for people and for programs", () => {
    const text = gitOdb(["status"], { cwd: join(repo, "sub") });
    expect(text.stdout).toBe(
      'big\tin the ODB\tone.bin\nbig\tin the ODB\t"sub/\\"\\303\\251 two\\".bin"\n2 selected: 2 in the ODB\n',
    );
    const porcelain = gitOdb(["status", "--porcelain", "-z"], { cwd: repo }).stdout;
    expect(porcelain).toBe(`stored LS- big ${one} 5 one.bin\0stored LS- big ${two} 10 sub/"é two".bin\0`);
    const [json] = gitOdb(["status", "--json"], { cwd: repo }).stdout.split("\n");
    expect(JSON.parse(json ?? "")).toEqual({
      path: "one.bin",
      odb: "big",
      oid: one,
      size: 5,
      state: "stored",
      local: true,
      stored: true,
      queued: false,
    });
  });

  it("lists ODBs and objects", () => {
    expect(gitOdb(["ls"], { cwd: repo }).stdout).toBe(`big\tsubprocess\t${pathToFileURL(store)}\n`);
    const listed = gitOdb(["ls", "big"], { cwd: repo }).stdout;
    expect(listed).toContain(`${one} 5 blob\n`);
    expect(gitOdb(["ls", "big", "--store"], { cwd: repo }).stdout.split("\n").sort()).toEqual(
      listed.split("\n").sort(),
    );
    expect(JSON.parse(gitOdb(["ls", "--json"], { cwd: repo }).stdout)).toMatchObject({ name: "big" });
  });

  it("brings objects back, byte for byte, also in a clone, a worktree and a bare repository", () => {
    const clone = join(tempDir(), "clone");
    git(["clone", "-q", "--no-checkout", repo, clone]);
    gitOdb(["init", "-q", "big", store], { cwd: clone });
    git(["fetch", "-q", "origin", "refs/odbs/big/*:refs/odbs/big/*"], { cwd: clone });
    const tree = join(tempDir(), "tree");
    git(["worktree", "add", "-q", "--no-checkout", tree], { cwd: clone });
    for (const oid of [one, two]) rmSync(localFile(clone, oid));
    expect(tryGit(["cat-file", "-e", one], { cwd: clone }).status).toBe(1);
    expect(gitOdb(["get", "big", "--all"], { cwd: tree }).status).toBe(0);
    expect(git(["cat-file", "blob", one], { cwd: clone })).toBe("first");
    expect(git(["cat-file", "blob", two], { cwd: clone })).toBe("second one");
    expect(gitOdb(["get", "big", "--stdout", two], { cwd: tree }).stdout).toBe("second one");
  });

  it("names what it cannot get, and what it cannot put", () => {
    const absent = "1".repeat(40);
    const got = gitOdb(["get", "big", absent, one], { cwd: repo });
    expect([got.status, got.stderr]).toEqual([1, `warning: object ${absent} is not in ODB big\n`]);
    expect(gitOdb(["get", "big", "--stdout", absent], { cwd: repo }).status).toBe(1);
    const cases: [string[], number, RegExp][] = [
      [["put", "big", "no such file"], 129, /"no such file" is no object id .* no file and no revision/],
      [["put", "big", absent], 129, /object 1{40} is not in .*nor in ODB big/],
      [["put", "big"], 129, /nothing was named/],
      [["put", "big", "--stdin", "x"], 129, /not both/],
      [["put", "big", "--queued", "x"], 129, /--queued sends all/],
      [
        ["put", "other", "one.bin"],
        128,
        /ODB "other" is not configured \(configured: big\): run "git odb init other <url>"/,
      ],
      [["put", "big", "HEAD"], 128, /blob|commit/],
      [["get", "big", "--all", "one.bin"], 129, /--all gets every object/],
      [["get", "big", "--stdout"], 129, /exactly one object/],
      [["ls", "b/g"], 129, /is no ODB name/],
      [["fsck", "other"], 128, /is not configured/],
    ];
    for (const [args, status, message] of cases) {
      const done = gitOdb(args, { cwd: repo });
      expect([args, done.status, done.stdout, done.stderr]).toEqual([
        args,
        status,
        "",
        expect.stringMatching(/^fatal: [^\n]*\n$/),
      ]);
      expect(done.stderr).toMatch(message);
    }
  });
});

describe("status when things are not as they should be", () => {
  it("warns of an ODB that is not configured, counts the missing, ends with 1", () => {
    const repo = tempRepo();
    writeFileSync(join(repo, ".gitattributes"), "*.bin odb=media\n*.odd odb=a/b\n*.set odb\n");
    const oid = addFile(repo, "a.bin", "x");
    addFile(repo, "b.odd", "y");
    addFile(repo, "c.set", "z");
    rmSync(localFile(repo, oid));
    const { status, stdout, stderr } = gitOdb(["status", "--porcelain"], { cwd: repo });
    expect(status).toBe(1);
    expect(stdout).toContain(`missing --- media ${oid} - a.bin\n`);
    expect(stdout).not.toContain("c.set");
    expect(stderr).toMatch(
      /names ODB media for 1 path, but it is not configured: run "git odb init media <url>"/,
    );
    expect(stderr).toMatch(/odb=a\/b, which is no name of an ODB/);
  });

  it("finds in the store what other clones have put, and shows what it knows when the store is away", () => {
    const { repo, store } = repoWithOdb();
    const oid = addFile(repo, "a.bin", "content");
    gitOdb(["put", "-q", "big", "a.bin"], { cwd: repo });
    git(["update-ref", "-d", `refs/odbs/big/${oid}`], { cwd: repo });
    rmSync(join(repo, ".git/odb"), { recursive: true });
    rmSync(localFile(repo, oid));
    expect(gitOdb(["status", "--porcelain"], { cwd: repo }).stdout).toBe(`stored -S- big ${oid} 7 a.bin\n`);
    rmSync(store, { recursive: true });
    const away = gitOdb(["status", "--porcelain"], { cwd: repo });
    expect(away.status).toBe(1);
    expect(away.stderr).toMatch(/^warning: ODB big could not be asked: .*no such directory/);
  });

  it("reads HEAD of a bare repository, and nothing in an empty one", () => {
    const { repo, store } = repoWithOdb();
    addFile(repo, "a.bin", "content");
    git(["commit", "-q", "-m", "x"], { cwd: repo });
    const bare = tempRepo("--bare");
    expect(gitOdb(["status"], { cwd: bare }).stdout).toMatch(/no path is selected/);
    git(["push", "-q", bare, "main"], { cwd: repo });
    gitOdb(["init", "-q", "big", store], { cwd: bare });
    expect(gitOdb(["status", "--porcelain"], { cwd: bare }).stdout).toMatch(
      /^local L-- big [0-9a-f]{40} 7 a\.bin\n$/,
    );
    expect(gitOdb(["put", "-q", "big", "a.bin"], { cwd: bare })).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
    expect(gitOdb(["status", "--porcelain"], { cwd: bare }).stdout).toMatch(/^stored LS-/);
  });
});

describe("fsck", () => {
  it("reads every copy in a tiered store: the first one does not hide the others", () => {
    const { repo, store } = repoWithOdb();
    const second = tempDir("second");
    git(["config", "--add", "odb.big.url", second], { cwd: repo });
    git(["config", "odb.big.write", "all"], { cwd: repo });
    const oid = addFile(repo, "a.bin", "good");
    const other = addFile(repo, "b.bin", "other");
    gitOdb(["put", "-q", "big", "a.bin", "b.bin"], { cwd: repo });
    expect(gitOdb(["fsck", "--store"], { cwd: repo })).toMatchObject({ status: 0, stdout: "" });
    chmodSync(storedFile(second, oid), 0o644);
    writeFileSync(storedFile(second, oid), "GOOD");
    rmSync(storedFile(second, other));
    const { status, stdout, stderr } = gitOdb(["fsck", "--store"], { cwd: repo });
    expect(status).toBe(1);
    expect(stdout).toMatch(new RegExp(`^bad ${oid}: .*hash to`, "m"));
    expect(stdout).toMatch(new RegExp(`^missing ${other}: not in .*second`, "m"));
    expect(stderr).toBe("ODB big: 2 objects checked, 2 bad\n");
    writeFileSync(storedFile(store, other), "OTHER");
    expect(gitOdb(["fsck", "-q", "--store"], { cwd: repo }).stdout).toMatch(
      new RegExp(`^bad ${other}: .*hash to .*, in ${pathToFileURL(store)}$`, "m"),
    );
  });

  it("names each bad object, ends with 1, and git is no longer told that it may rely on it", () => {
    const { repo, store } = repoWithOdb();
    const good = addFile(repo, "good.bin", "good");
    const gone = addFile(repo, "gone.bin", "gone");
    const rotten = addFile(repo, "rotten.bin", "rotten");
    gitOdb(["put", "-q", "big", "good.bin", "gone.bin", "rotten.bin"], { cwd: repo });
    expect(gitOdb(["fsck"], { cwd: repo })).toEqual({
      status: 0,
      stdout: "",
      stderr: "ODB big: 3 objects checked, 0 bad\n",
    });
    rmSync(storedFile(store, gone));
    chmodSync(storedFile(store, rotten), 0o644);
    writeFileSync(storedFile(store, rotten), "ROTTEN");
    expect(gitOdb(["fsck", "-q"], { cwd: repo }).stdout).toBe(
      `missing ${gone}: not in ${pathToFileURL(store)}\n`,
    );
    const whole = gitOdb(["fsck", "--store"], { cwd: repo });
    expect(whole.status).toBe(1);
    expect(whole.stdout).toMatch(new RegExp(`^bad ${rotten}: .*hash to`, "m"));
    expect(whole.stderr).toBe("ODB big: 3 objects checked, 2 bad\n");
    expect(whole.stdout).not.toContain(good);
    const states = gitOdb(["status", "--porcelain"], { cwd: repo })
      .stdout.split("\n")
      .map((line) => line.slice(0, 10));
    expect(states.slice(0, 2)).toEqual(["local L-- ", "stored LS-"]);
    gitOdb(["put", "-q", "big", "gone.bin", "rotten.bin"], { cwd: repo });
    expect(gitOdb(["fsck", "-q", "--store"], { cwd: repo })).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  it("reads objects that no ref names, and a loose store", () => {
    const repo = tempRepo();
    const bare = tempRepo("--bare");
    const oid = git(["hash-object", "-w", "--stdin"], { cwd: bare, input: "hello" });
    gitOdb(["init", "-q", "big", bare], { cwd: repo });
    expect(gitOdb(["fsck", "--store"], { cwd: repo }).stderr).toBe("ODB big: 1 object checked, 0 bad\n");
    const path = join(bare, "objects", oid.slice(0, 2), oid.slice(2));
    chmodSync(path, 0o644);
    writeFileSync(path, "no zlib");
    const { status, stdout } = gitOdb(["fsck", "--store"], { cwd: repo });
    expect([status, stdout]).toEqual([1, expect.stringMatching(new RegExp(`^bad ${oid}: `))]);
  });

  it("cannot say anything of a store that is away", () => {
    const { repo, store } = repoWithOdb();
    rmSync(store, { recursive: true });
    const { status, stderr } = gitOdb(["fsck"], { cwd: repo });
    expect(status).toBe(128);
    expect(stderr).toMatch(/^fatal: .*no such directory/);
    expect(gitOdb(["fsck"], { cwd: tempRepo() }).stderr).toMatch(/has no ODB: run "git odb init/);
  });
});

describe("afterwards", () => {
  it("git fsck stays clean, whatever was put and got", () => {
    const { repo } = repoWithOdb();
    addFile(repo, "a.bin", "x".repeat(100_000));
    gitOdb(["put", "-q", "big", "a.bin"], { cwd: repo });
    expect(tryGit(["fsck", "--strict"], { cwd: repo }).status).toBe(0);
  });
});
