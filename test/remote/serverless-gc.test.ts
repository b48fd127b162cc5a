import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { gitOdb } from "../support/cli.js";
import { startServeProcess } from "../support/serve-process.js";
import { clonePerson, cloneServed, newPerson, type Person } from "../support/serverless.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

const attributes = { ".gitattributes": "*.bin odb=magic\n" };

function packs(bucket: string): string[] {
  return readdirSync(join(bucket, "objects/pack")).filter((name) => name.endsWith(".pack"));
}

function gc(person: Person, ...args: string[]) {
  return gitOdb(["gc", "--store", "origin", ...args], { cwd: person.dir });
}

function objectOf(bucket: string, person: Person, name: string): string {
  const oid = person.git("rev-parse", name);
  return join(bucket, `objects/${oid.slice(0, 2)}/${oid}`);
}

/** main with three pushes, and a branch that has been deleted again. */
function history() {
  const bucket = tempDir("bucket");
  const ann = newPerson(`odb::${bucket}`);
  for (let n = 0; n < 3; n++) {
    ann.commit({ ...attributes, "x.bin": randomBytes(30_000), "a.txt": `${n}\n` });
    ann.git("push", "-q", "-u", "origin", "main");
  }
  ann.git("checkout", "-q", "-b", "topic");
  ann.commit({ "y.bin": randomBytes(30_000), "t.txt": "topic\n" });
  ann.git("push", "-q", "origin", "topic");
  ann.git("push", "-q", "origin", ":topic");
  return { bucket, url: `odb::${bucket}`, ann };
}

test("packs become one; what no ref needs goes in a second run after the grace period", () => {
  const { bucket, url, ann } = history();
  const lost = objectOf(bucket, ann, "topic:y.bin");
  const before = packs(bucket);
  expect(before).toHaveLength(4);
  expect(gc(ann)).toMatchObject({ status: 0 });
  expect(packs(bucket)).toHaveLength(5);
  expect(existsSync(lost)).toBe(true);
  expect(gc(ann, "--dry-run").stdout).toBe("");
  expect(gitOdb(["gc", "--store", "--dry-run"], { cwd: ann.dir })).toMatchObject({ status: 0, stdout: "" });
  expect(gc(ann, "--grace=0", "--dry-run").stdout).toContain(`would remove ${lost.slice(bucket.length + 1)}`);
  expect(existsSync(lost)).toBe(true);
  expect(gc(ann, "--grace=0")).toMatchObject({ status: 0 });
  expect(packs(bucket)).toHaveLength(1);
  expect(existsSync(lost)).toBe(false);
  expect(readdirSync(join(bucket, "git-odb"))).toEqual(["refs"]);
  const clone = clonePerson(url);
  expect(clone.try("fsck", "--full")).toMatchObject({ status: 0 });
  const count = ["rev-list", "--objects", "--count"];
  expect(clone.git(...count, "--all")).toBe(ann.git(...count, "main"));
  // What was removed can be pushed again.
  ann.git("push", "-q", "origin", "topic");
  expect(existsSync(lost)).toBe(true);
});

test("what a push needs again is not removed", () => {
  const { bucket, url, ann } = history();
  const blob = objectOf(bucket, ann, "topic:y.bin");
  gc(ann);
  // Long ago.
  const old = new Date(Date.now() - 30 * 24 * 3600 * 1000);
  for (const name of readdirSync(join(bucket, "git-odb/gc")))
    utimesSync(join(bucket, "git-odb/gc", name), old, old);
  ann.git("push", "-q", "origin", "topic");
  ann.git("push", "-q", "origin", ":topic");
  // Needed by no ref, but written again since it was listed.
  expect(gc(ann)).toMatchObject({ status: 0 });
  expect(existsSync(blob)).toBe(true);
  ann.git("push", "-q", "origin", "topic");
  expect(gc(ann, "--grace=0")).toMatchObject({ status: 0 });
  expect(existsSync(blob)).toBe(true);
  expect(clonePerson(url, "-b", "topic").try("fsck", "--full")).toMatchObject({ status: 0 });
});

test("nothing is removed of a store, or of a repository that is not whole", () => {
  const { bucket, ann } = history();
  const store = tempDir("store");
  ann.git("odb", "init", "magic", store);
  expect(gitOdb(["gc", "--store", `odb::${store}`])).toMatchObject({ status: 128 });
  rmSync(objectOf(bucket, ann, "main:x.bin"));
  const { status, stderr } = gc(ann, "--grace=0");
  expect(status).toBe(128);
  expect(stderr).toMatch(/lacks object [0-9a-f]{40}/);
  expect(gc(ann, "--grace=x").status).toBe(129);
  expect(gitOdb(["gc", "--dry-run"], { cwd: ann.dir }).status).toBe(129);
});

test("a bucket of the loose layout is a repository for plain HTTP, with stock git", async () => {
  const folder = tempDir("served");
  await using server = await startServeProcess(folder);
  const ann = newPerson(`odb::${server.url}?layout=loose`);
  ann.commit({ ...attributes, "x.bin": randomBytes(50_000), "a.txt": "a\n" });
  ann.git("tag", "-a", "v1", "-m", "v1");
  expect(await ann.run(["push", "-q", "origin", "main", "v1"])).toMatchObject({ status: 0 });
  ann.commit({ "a.txt": "b\n" });
  expect(await ann.run(["push", "-q", "origin", "main"])).toMatchObject({ status: 0 });
  await using plain = await startStaticServer(folder);
  const dumb = await cloneServed(plain.url);
  expect(dumb.git("rev-parse", "HEAD", "v1")).toBe(ann.git("rev-parse", "HEAD", "v1"));
  expect(dumb.git("symbolic-ref", "HEAD")).toBe("refs/heads/main");
  expect(dumb.try("fsck", "--full")).toMatchObject({ status: 0 });
  // After a branch has gone and a collection has removed what was its own.
  const local = `odb::${folder}`;
  ann.git("checkout", "-q", "-b", "topic");
  ann.commit({ "y.bin": randomBytes(50_000), "b.txt": "topic\n" });
  ann.git("push", "-q", local, "topic");
  ann.git("push", "-q", local, ":topic");
  ann.git("checkout", "-q", "main");
  for (let run = 0; run < 2; run++) {
    expect(gitOdb(["gc", "--store", local, "--grace=0", "-q"])).toMatchObject({ status: 0 });
    const again = await cloneServed(plain.url);
    expect(again.git("for-each-ref", "refs/remotes")).toBe(dumb.git("for-each-ref", "refs/remotes"));
    expect(again.try("fsck", "--full")).toMatchObject({ status: 0 });
  }
  expect(packs(folder)).toHaveLength(1);
  // A static server lists nothing: the table of packs stands in. It takes no push.
  const clone = await cloneServed(`odb::${plain.url}`);
  expect(clone.git("rev-parse", "HEAD")).toBe(ann.git("rev-parse", "HEAD"));
  clone.commit({ "c.txt": "c\n" });
  const refused = await clone.run(["push", "-q", "origin", "main"]);
  expect(refused.status).toBeGreaterThan(0);
  expect(refused.stderr).toMatch(/git-remote-odb: .*\n/);
});
