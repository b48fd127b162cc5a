import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { attributesOf, checkAttribute } from "../../src/repo/attributes.js";
import {
  addConfig,
  getConfig,
  parseConfigBoolean,
  parseConfigSize,
  readConfig,
  removeConfigSection,
  setConfig,
  unsetConfig,
} from "../../src/repo/config.js";
import { openRepository } from "../../src/repo/git.js";
import { git, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const real = (path: string) => realpathSync(path);

async function withEnv<T>(env: Record<string, string>, action: () => Promise<T>): Promise<T> {
  const before = Object.keys(env).map((key) => [key, process.env[key]] as const);
  Object.assign(process.env, env);
  try {
    return await action();
  } finally {
    for (const [key, value] of before) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
  }
}

describe("openRepository", () => {
  it("finds the repository from its top, a subfolder, .git, and a linked worktree", async () => {
    const dir = tempRepo();
    git(["commit", "-q", "--allow-empty", "-m", "x"], { cwd: dir });
    mkdirSync(join(dir, "a/b"), { recursive: true });
    for (const cwd of [dir, join(dir, "a/b")]) {
      const repo = await openRepository(cwd);
      expect(repo.gitDir).toBe(real(join(dir, ".git")));
      expect(repo.commonDir).toBe(repo.gitDir);
      expect(repo.objectsDir).toBe(join(repo.gitDir, "objects"));
      expect(repo.workTree).toBe(real(dir));
      expect([repo.bare, repo.hash]).toEqual([false, "sha1"]);
    }
    const inside = await openRepository(join(dir, ".git"));
    expect([inside.gitDir, inside.workTree]).toEqual([real(join(dir, ".git")), undefined]);
    const linked = join(tempDir(), "linked");
    git(["worktree", "add", "-q", linked], { cwd: dir });
    const repo = await openRepository(linked);
    expect(repo.gitDir).toBe(real(join(dir, ".git/worktrees/linked")));
    expect(repo.commonDir).toBe(real(join(dir, ".git")));
    expect(repo.objectsDir).toBe(real(join(dir, ".git/objects")));
    expect(repo.workTree).toBe(real(linked));
  });

  it("knows bare and SHA-256 repositories", async () => {
    const repo = await openRepository(tempRepo("--bare", "--object-format=sha256"));
    expect([repo.bare, repo.hash, repo.workTree]).toEqual([true, "sha256", undefined]);
    expect(await repo.text(["rev-parse", "--is-bare-repository"])).toBe("true");
  });

  it("takes GIT_DIR from outside, as during a clone, and relative, as git add sets it", async () => {
    const dir = tempRepo();
    const outside = tempDir();
    await withEnv({ GIT_DIR: join(dir, ".git") }, async () => {
      const repo = await openRepository(outside);
      expect(repo.gitDir).toBe(real(join(dir, ".git")));
      expect(await repo.text(["rev-parse", "--absolute-git-dir"])).toBe(repo.gitDir);
    });
    await withEnv({ GIT_DIR: ".git", GIT_OBJECT_DIRECTORY: ".git/objects" }, async () => {
      const repo = await openRepository(dir);
      expect(repo.objectsDir).toBe(real(join(dir, ".git/objects")));
      expect(await repo.text(["rev-parse", "--git-path", "objects"])).toBe(repo.objectsDir);
    });
  });

  it("finds the top through a symbolic link", async () => {
    const dir = tempRepo();
    mkdirSync(join(dir, "deep/er"), { recursive: true });
    const link = join(tempDir(), "link");
    symlinkSync(join(dir, "deep/er"), link);
    expect((await openRepository(link)).workTree).toBe(real(dir));
  });

  it("says in one line that there is no repository, no folder, no git", async () => {
    const dir = tempDir();
    const line = `${dir} is not a git repository: run this inside one, or "git init" first`;
    await withEnv({ GIT_CEILING_DIRECTORIES: join(dir, "..") }, async () => {
      await expect(openRepository(dir)).rejects.toMatchObject({ code: "config", message: line });
    });
    await expect(openRepository(join(dir, "no"))).rejects.toMatchObject({
      code: "config",
      message: `${join(dir, "no")}: no such directory`,
    });
    await withEnv({ PATH: dir }, async () => {
      await expect(openRepository(dir)).rejects.toMatchObject({ code: "config", message: /not on PATH/ });
    });
  });
});

describe("git in a repository", () => {
  it("fails with git's own last line and a code that fits", async () => {
    const repo = await openRepository(tempRepo());
    await expect(repo.run(["cat-file", "-p", "HEAD"])).rejects.toMatchObject({
      message: /^git cat-file: Not a valid object name HEAD$/i,
    });
    await expect(repo.run(["rev-parse", "--verify", "-q", "x"], { okStatus: [1] })).resolves.toMatchObject({
      status: 1,
    });
    writeFileSync(join(repo.gitDir, "config.lock"), "");
    await expect(setConfig(repo, "a.b", "c")).rejects.toMatchObject({ code: "conflict" });
  });

  it("streams records in any chunking and stops git when the reader returns early", async () => {
    const repo = await openRepository(tempRepo());
    const lines = Array.from({ length: 30_000 }, (_, n) => `${n}${"x".repeat(n % 97)}`);
    async function* input() {
      for (const line of lines) yield `${line}\n`;
    }
    const seen: string[] = [];
    for await (const line of repo.runLines(["stripspace"], { input: input() })) seen.push(line);
    expect(seen.join("\n") === lines.join("\n")).toBe(true);
    async function* endless() {
      for (;;) yield "a\n";
    }
    const unread = repo.run(["check-ref-format", "refs/a"], { input: endless() });
    await expect(unread).resolves.toMatchObject({ status: 0 });
    const path = "x";
    async function* paths() {
      for (;;) yield path;
    }
    for await (const value of checkAttribute(repo, "odb", paths())) {
      expect(value).toBeUndefined();
      break;
    }
  });

  it("throws what its input throws", async () => {
    const repo = await openRepository(tempRepo());
    async function* broken() {
      yield "a\n";
      throw new Error("no more input");
    }
    await expect(repo.run(["hash-object", "--stdin-paths"], { input: broken() })).rejects.toThrow(
      "no more input",
    );
  });

  it("sets GIT_NO_EXTERNAL_ODB for every git", async () => {
    const repo = await openRepository(tempRepo());
    await repo.run(["config", "alias.show-env", "!echo no=$GIT_NO_EXTERNAL_ODB"]);
    expect(await repo.text(["show-env"], { env: { GIT_NO_EXTERNAL_ODB: "0" } })).toBe("no=1");
  });

  it("ends on an abort signal", async () => {
    const repo = await openRepository(tempRepo());
    const control = new AbortController();
    const running = repo.run(["-c", "alias.wait=!sleep 30", "wait"], { signal: control.signal });
    control.abort();
    await expect(running).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("config", () => {
  it("reads every value in order, with line breaks, without a value, and its scope", async () => {
    const dir = tempRepo();
    const other = join(tempDir(), "included");
    writeFileSync(other, '[odb "In.Cluded"]\n\turl = from-include\n');
    writeFileSync(
      join(dir, ".git/config"),
      `[core]\n\trepositoryformatversion = 0\n[odb "A"]\n\tunsafePush\n\turl = "one\\ntwo"\n\turl = \n[include]\n\tpath = ${other}\n`,
    );
    const repo = await openRepository(dir);
    await withEnv({ GIT_CONFIG_PARAMETERS: "'odb.c.url=from-argv'" }, async () => {
      const entries = (await readConfig(repo)).filter(({ key }) => key.startsWith("odb."));
      expect(entries).toEqual([
        { key: "odb.A.unsafepush", value: undefined, scope: "repository" },
        { key: "odb.A.url", value: "one\ntwo", scope: "repository" },
        { key: "odb.A.url", value: "", scope: "repository" },
        { key: "odb.In.Cluded.url", value: "from-include", scope: "other" },
        { key: "odb.c.url", value: "from-argv", scope: "command" },
      ]);
    });
  });

  it("sets, adds, gets, unsets and removes", async () => {
    const repo = await openRepository(tempRepo());
    expect(await getConfig(repo, "odb.x.url")).toBeUndefined();
    await addConfig(repo, "odb.x.url", "a");
    await addConfig(repo, "odb.x.url", "b");
    expect(git(["config", "--get-all", "odb.x.url"], { cwd: repo.gitDir })).toBe("a\nb");
    await setConfig(repo, "odb.x.url", "line\nbreak ");
    expect(await getConfig(repo, "odb.x.url")).toBe("line\nbreak ");
    expect([await unsetConfig(repo, "odb.x.url"), await unsetConfig(repo, "odb.x.url")]).toEqual([
      true,
      false,
    ]);
    await setConfig(repo, "odb.x.get", "raw");
    expect(await removeConfigSection(repo, "odb.x")).toBe(true);
    expect(await removeConfigSection(repo, "odb.x")).toBe(false);
    expect((await readConfig(repo)).some(({ key }) => key.startsWith("odb."))).toBe(false);
  });

  it("reads booleans and sizes as git does", async () => {
    const repo = await openRepository(tempRepo());
    for (const word of ["true", "YES", "on", "1", "7", "false", "No", "off", "0", ""]) {
      await setConfig(repo, "a.b", word);
      const told = await repo.text(["config", "--bool", "a.b"]);
      expect([word, `${parseConfigBoolean("a.b", word)}`]).toEqual([word, told]);
    }
    for (const word of ["0", "12", "3k", "8M", "2g"]) {
      await setConfig(repo, "a.b", word);
      expect(`${parseConfigSize("a.b", word)}`).toBe(await repo.text(["config", "--int", "a.b"]));
    }
    expect(() => parseConfigBoolean("a.b", "maybe")).toThrow("a.b");
    expect(() => parseConfigSize("a.b", "-1")).toThrow("a.b");
  });
});

describe("attributes", () => {
  it("resolves as git does, from the work tree, in order, any path", async () => {
    const dir = tempRepo();
    writeFileSync(
      join(dir, ".gitattributes"),
      '[attr]big odb=magic -diff\n*.bin big\n*.set odb\n*.off -odb\n*.un !odb\n"sp ace/*" odb=two\n',
    );
    mkdirSync(join(dir, "sub"));
    writeFileSync(join(dir, "sub/.gitattributes"), "x.bin odb=other\n");
    const repo = await openRepository(join(dir, "sub"));
    const odd = Buffer.from([0x66, 0xff, 0x2e, 0x62, 0x69, 0x6e]);
    const paths = ["a.bin", "sub/x.bin", "a.set", "a.off", "a.un", "sp ace/\n", "none", odd, "é.bin"];
    expect(await attributesOf(repo, "odb", paths)).toEqual([
      "magic",
      "other",
      true,
      false,
      undefined,
      "two",
      undefined,
      "magic",
      "magic",
    ]);
  });

  it("resolves from a given tree, and from HEAD in a bare repository", async () => {
    const dir = tempRepo();
    writeFileSync(join(dir, ".gitattributes"), "*.bin odb=old\n");
    git(["add", "."], { cwd: dir });
    git(["commit", "-q", "-m", "old"], { cwd: dir });
    writeFileSync(join(dir, ".gitattributes"), "*.bin odb=new\n");
    const repo = await openRepository(dir);
    expect(await attributesOf(repo, "odb", ["d/a.bin"])).toEqual(["new"]);
    expect(await attributesOf(repo, "odb", ["d/a.bin"], { source: "HEAD" })).toEqual(["old"]);
    git(["config", "core.splitIndex", "true"], { cwd: dir });
    expect(await attributesOf(repo, "odb", ["d/a.bin"], { source: "main" })).toEqual(["old"]);
    await expect(attributesOf(repo, "odb", ["a"], { source: "no-such" })).rejects.toMatchObject({
      code: "config",
      message: /"no-such"/,
    });
    const bare = tempRepo("--bare");
    const there = await openRepository(bare);
    expect(await attributesOf(there, "odb", ["a.bin"])).toEqual([undefined]);
    git(["push", "-q", bare, "main"], { cwd: dir });
    expect(await attributesOf(there, "odb", ["a.bin", "a.c"])).toEqual(["old", undefined]);
  });
});
