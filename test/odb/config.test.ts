import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readOdbConfig, readOdbConfigs, requireOdbConfig } from "../../src/odb/config.js";
import { isOdbName, parseOdbName } from "../../src/odb/name.js";
import { openRepository, type Repository } from "../../src/repo/git.js";
import { tempRepo } from "../support/git.js";

async function repoWith(config: string): Promise<Repository> {
  const repo = await openRepository(tempRepo());
  appendFileSync(join(repo.gitDir, "config"), config);
  return repo;
}

describe("ODB names", () => {
  it("are letters, digits, - and _", () => {
    for (const name of ["magic", "A-b_9", "0", "x".repeat(64)]) expect(parseOdbName(name)).toBe(name);
    for (const name of ["", "-a", "_a", "a.b", "a/b", "a b", "é", "x".repeat(65), "a\n", "..", "a;rm"]) {
      expect([name, isOdbName(name)]).toEqual([name, false]);
      expect(() => parseOdbName(name)).toThrow("is no ODB name");
    }
  });

  it("are none of the words that git prints for attributes without a value", () => {
    for (const name of ["set", "unset", "unspecified"])
      expect(() => parseOdbName(name)).toThrow("cannot name");
  });
});

describe("readOdbConfig", () => {
  it("reads every key, several URLs, the later command, and the defaults", async () => {
    const repo = await repoWith(
      `[odb "magic"]\n\turl = s3://b/p\n\turl = file:///d\n\tsubprocessCommand = git-odb-helper-s3 --name magic\n\tget = raw\n\twrite = all\n\tminSize = 10m\n\tconcurrency = 8\n\tunsafePush\n[odb "Two"]\n\tsubprocessCommand = a\n\tscriptCommand = git-odb-helper-file --name Two\n`,
    );
    expect([...(await readOdbConfig(repo)).values()]).toEqual([
      {
        name: "magic",
        urls: ["s3://b/p", "file:///d"],
        subprocessCommand: "git-odb-helper-s3 --name magic",
        mode: "subprocess",
        get: "raw",
        write: "all",
        minSize: 10 * 1024 * 1024,
        concurrency: 8,
        unsafePush: true,
      },
      {
        name: "Two",
        urls: [],
        subprocessCommand: "a",
        scriptCommand: "git-odb-helper-file --name Two",
        mode: "script",
        get: "git",
        write: "first",
        unsafePush: false,
      },
    ]);
  });

  it("forgets earlier URLs at an empty one, as git's lists do", async () => {
    const repo = await repoWith(`[odb "m"]\n\tscriptCommand = c\n\turl = a\n\turl =\n\turl = b\n`);
    expect((await requireOdbConfig(repo, "m")).urls).toEqual(["b"]);
  });

  it.each([
    ["get = all", /odb\.m\.get.*git, raw, direct/],
    ["write = both", /odb\.m\.write.*first, all/],
    ["minSize = big", /odb\.m\.minsize.*"big"/],
    ["timeout = 0", /odb\.m\.timeout.*seconds/],
    ["concurrency = 0", /odb\.m\.concurrency/],
    ["unsafePush = maybe", /odb\.m\.unsafepush/],
    ["url", /odb\.m\.url has no value/],
  ])("refuses %s in one line that names the key", async (line, message) => {
    const repo = await repoWith(`[odb "m"]\n\t${line}\n`);
    await expect(readOdbConfig(repo)).rejects.toMatchObject({ code: "config", message });
  });

  it("names what is configured when asked for what is not", async () => {
    const repo = await repoWith(`[odb "magic"]\n\turl = a\n`);
    await expect(requireOdbConfig(repo, "nope")).rejects.toMatchObject({
      code: "config",
      message: `ODB "nope" is not configured (configured: magic): run "git odb init nope <url>"`,
    });
    await expect(requireOdbConfig(repo, "no pe")).rejects.toMatchObject({ code: "invalid" });
  });

  it("warns of the traps of the reference client", async () => {
    const repo = await repoWith(
      `[odb]\n\turl = x\n[odb "bad name"]\n\turl = y\n[odb "a"]\n\turl = z\n[odb "b"]\n\tscriptCommand = same\n[odb "c"]\n\tsubprocessCommand = same\n`,
    );
    const { odbs, warnings } = await readOdbConfigs(repo);
    expect([...odbs.keys()]).toEqual(["a", "b", "c"]);
    for (const [n, part] of [
      "odb.url has no ODB name",
      '"bad name"',
      '"a" has settings but no command',
      '"b" and "c" have the same command',
    ].entries()) {
      expect(warnings[n]).toContain(part);
    }
    expect(warnings).toHaveLength(4);
  });

  it("leaves other sections and other keys alone", async () => {
    const repo = await repoWith(`[odbx "m"]\n\turl = a\n[odb "m"]\n\tfuture = 1\n\tscriptCommand = c\n`);
    writeFileSync(join(repo.gitDir, "unused"), "");
    expect([...(await readOdbConfigs(repo)).odbs.keys()]).toEqual(["m"]);
  });
});
