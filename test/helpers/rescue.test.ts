import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hashObject } from "../../src/object/content.js";
import { bin, git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const helper = bin("git-odb-helper-file");
const bytes = Buffer.from("an object that git will not keep");
const oid = hashObject("blob", bytes);
const put = ["put_raw_obj", oid, String(bytes.length), "blob"];

function odbRepo(settings: Readonly<Record<string, string>>): string {
  const cwd = tempRepo();
  for (const [key, value] of Object.entries(settings)) git(["config", key, value], { cwd });
  return cwd;
}

function run(cwd: string, args: readonly string[], input: Uint8Array = bytes, env: NodeJS.ProcessEnv = {}) {
  const done = spawnSync(process.execPath, [helper, ...args], {
    cwd,
    input,
    env: { ...process.env, ...env },
  });
  return { code: done.status, out: done.stdout.toString(), err: done.stderr.toString() };
}

it.each([
  ["a value of the config that cannot be understood", { "odb.magic.get": "rubbish" }, /odb\.magic\.get/],
  ["a URL of another kind", { "odb.magic.url": "s3://bucket/x" }, /git-odb-helper-s3/],
  ["an ODB that is not configured", {}, /"magic" is not configured/],
])("a script put keeps its object despite %s, and the store gets it later", (_, settings, why) => {
  const repo = odbRepo(settings);
  const done = run(repo, ["--name", "magic", ...put]);
  expect(done.err).toMatch(why);
  expect(done.err).toMatch(
    new RegExp(`object ${oid} could not be stored: .* kept in this repository.*--queued.*\n$`),
  );
  expect(done.err.trimEnd().split("\n").length).toBe(1);
  expect(done.code).toBe(0);
  expect(git(["cat-file", "blob", oid], { cwd: repo })).toBe(bytes.toString());
  // Set right:
  tryGit(["config", "--remove-section", "odb.magic"], { cwd: repo });
  git(["config", "odb.magic.url", tempDir("odb")], { cwd: repo });
  expect(run(repo, ["--name", "magic", "have"]).err).toMatch(/1 object\(s\) that waited .* are stored now/);
  expect(run(repo, ["--name", "magic", "have"]).out).toBe(`${oid} ${bytes.length} blob\n`);
});

it.each([
  ["no --name", []],
  ["an impossible name", ["--name", "b d"]],
  ["a word too many", ["--name", "magic", "fly"]],
])("a script put keeps its object though the command of the config is wrong: %s", (_, args) => {
  const repo = odbRepo({});
  const done = run(repo, [...args, ...put]);
  expect(done.err).toMatch(new RegExp(`object ${oid} could not be stored: .*git odb put <name> ${oid}`));
  expect(git(["cat-file", "blob", oid], { cwd: repo })).toBe(bytes.toString());
  expect(existsSync(join(repo, ".git/odb"))).toBe(false);
});

it("wrong bytes are not kept, and it says so when it can keep nothing", () => {
  const repo = odbRepo({});
  expect(run(repo, put, Buffer.from("other"))).toMatchObject({ code: 128 });
  expect(tryGit(["cat-file", "-e", oid], { cwd: repo }).status).toBe(1);
  const outside = run(tempDir("none"), put);
  expect(outside.err).toMatch(new RegExp(`object ${oid} is stored NOWHERE: .*not a git repository`));
  expect(outside.code).toBe(128);
});

it.each([
  ["git", true],
  ["raw", true],
  ["direct", false],
])("init with get=%s makes the folder where that git keeps what it gets: %s", (get, made) => {
  const repo = odbRepo({ "odb.magic.url": tempDir("odb"), "odb.magic.get": get });
  // As while git receives a push: its object store is the quarantine.
  const quarantine = join(repo, ".git/objects/incoming-x");
  mkdirSync(quarantine);
  const env = { GIT_OBJECT_DIRECTORY: quarantine, GIT_QUARANTINE_PATH: quarantine };
  expect(run(repo, ["--name", "magic", "init"], Buffer.alloc(0), env)).toMatchObject({ code: 0, err: "" });
  expect(existsSync(join(quarantine, "external"))).toBe(made);
  expect(run(repo, ["--name", "magic", "init"]).code).toBe(0);
  expect(existsSync(join(repo, ".git/objects/external"))).toBe(made);
  git(["fsck", "--strict"], { cwd: repo });
});
