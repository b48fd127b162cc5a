import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { git } from "../support/git.js";
import { clonePerson, newPerson, type Person } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

const attributes = "*.bin odb=magic\n";

/** A person who has pushed a small history with a big blob, and the bucket. */
function pushed(query = "", ...init: string[]) {
  const bucket = tempDir("bucket");
  const url = `odb::${bucket}${query}`;
  const ann = newPerson(url, ...init);
  const big = randomBytes(100_000);
  ann.commit({ ".gitattributes": attributes, "a.txt": "one\n", "x.bin": big });
  ann.commit({ "a.txt": "two\n" });
  ann.git("push", "-q", "-u", "origin", "main");
  return { bucket, url, ann, big };
}

function refsOf(bucket: string): string[] {
  return readFileSync(join(bucket, "git-odb/refs"), "utf8").trimEnd().split("\n");
}

function fsck(person: Person): void {
  expect(person.try("fsck", "--full", "--strict")).toMatchObject({ status: 0 });
}

test.each(["sha1", "sha256"])("clone, push and fetch without a server, %s", (hash) => {
  const { bucket, url, ann, big } = pushed("", `--object-format=${hash}`);
  const ben = clonePerson(url);
  expect(readFileSync(join(ben.dir, "x.bin")).equals(big)).toBe(true);
  expect(ben.git("log", "--format=%H")).toBe(ann.git("log", "--format=%H"));
  fsck(ben);
  const mine = ben.commit({ "b.txt": "ben\n", "y.bin": randomBytes(70_000) });
  ben.git("push", "-q");
  ann.git("pull", "-q", "--rebase");
  expect(ann.git("rev-parse", "HEAD")).toBe(mine);
  expect(readFileSync(join(ann.dir, "y.bin")).equals(readFileSync(join(ben.dir, "y.bin")))).toBe(true);
  fsck(ann);
  expect(refsOf(bucket)).toEqual(["HEAD refs/heads/main", `${mine}\trefs/heads/main`]);
});

test("selected blobs are objects of the bucket, and come when they are needed", () => {
  const { bucket, url, ann } = pushed();
  const oid = ann.git("rev-parse", "HEAD:x.bin");
  expect(existsSync(join(bucket, `objects/${oid.slice(0, 2)}/${oid}`))).toBe(true);
  const ben = clonePerson(url, "--no-checkout");
  const missing = () => ben.git("rev-list", "--objects", "--all", "--missing=print").match(/^\?.*/gm);
  expect(missing()).toEqual([`?${oid}`]);
  expect(ben.git("config", "remote.origin.promisor")).toBe("true");
  fsck(ben);
  ben.git("gc", "-q", "--prune=now");
  expect(ben.git("cat-file", "-s", "HEAD:x.bin")).toBe("100000");
  expect(missing()).toBeNull();
});

test("a repository without selected blobs is cloned whole, with no promisor", () => {
  const url = `odb::${tempDir("bucket")}`;
  const ann = newPerson(url);
  ann.commit({ "a.txt": "one\n" });
  ann.git("push", "-q", "origin", "main");
  const ben = clonePerson(url);
  expect(ben.try("config", "remote.origin.promisor").status).toBe(1);
  expect(ben.git("count-objects", "-v")).toMatch(/in-pack: 3\npacks: 1/);
  expect(readdirSync(join(ben.dir, ".git/objects/pack")).filter((name) => name.endsWith(".keep"))).toEqual(
    [],
  );
  // Later a blob is left out: this fetch brings it, all others leave it to be asked for.
  ann.commit({ ".gitattributes": attributes, "x.bin": randomBytes(5000) });
  ann.git("push", "-q", "origin", "main");
  ben.git("fetch", "-q");
  expect(ben.git("config", "remote.origin.promisor")).toBe("true");
  expect(ben.git("rev-list", "--objects", "--all", "--missing=print")).not.toMatch(/^\?/m);
  fsck(ben);
});

test("whoever comes second is told to fetch first, and forced if he says so", () => {
  const url = `odb::${tempDir("bucket")}`;
  const ann = newPerson(url);
  ann.commit({ "a.txt": "one\n" });
  ann.git("push", "-q", "-u", "origin", "main");
  const ben = clonePerson(url);
  ann.commit({ "a.txt": "ann\n" });
  ann.git("push", "-q");
  const old = ben.git("rev-parse", "origin/main");
  const mine = ben.commit({ "b.txt": "ben\n" });
  const refused = ben.try("push");
  expect(refused.status).toBe(1);
  expect(refused.stderr).toMatch(/! \[rejected\] +main -> main \(fetch first\)/);
  const stale = ben.try("push", `--force-with-lease=main:${old}`);
  expect(stale.stderr).toMatch(/\[rejected\] +main -> main \(stale info\)/);
  ben.git("push", "-q", "--force");
  expect(ben.git("ls-remote", "origin", "main")).toBe(`${mine}\trefs/heads/main`);
  ann.git("fetch", "-q");
  expect(ann.git("rev-parse", "origin/main")).toBe(mine);
  ann.commit({ "a.txt": "again\n" });
  expect(ann.try("push").stderr).toMatch(/\[rejected\] +main -> main \(non-fast-forward\)/);
  ann.git("push", "-q", `--force-with-lease=main:${mine}`);
  fsck(ann);
});

test("tags, deletion, mirror", () => {
  const { bucket, url, ann } = pushed();
  ann.git("tag", "-a", "v1", "-m", "one");
  ann.git("tag", "light");
  ann.git("push", "-q", "origin", "--tags", "HEAD:refs/heads/topic");
  expect(refsOf(bucket)).toContain(`${ann.git("rev-parse", "v1^{}")}\trefs/tags/v1^{}`);
  expect(ann.git("ls-remote", "origin", "v1")).toBe(`${ann.git("rev-parse", "v1")}\trefs/tags/v1`);
  ann.git("tag", "-f", "-a", "v1", "-m", "other");
  expect(ann.try("push", "origin", "v1").stderr).toMatch(/\(already exists\)/);
  ann.git("push", "-q", "-f", "origin", "v1");
  ann.git("push", "-q", "origin", ":topic", ":refs/tags/v1");
  expect(
    ann
      .git("ls-remote", "origin")
      .split("\n")
      .map((line) => line.split("\t")[1]),
  ).toEqual(["HEAD", "refs/heads/main", "refs/tags/light"]);
  const copy = `odb::${tempDir("mirror")}`;
  const mirror = clonePerson(url, "--mirror");
  mirror.git("push", "-q", "--mirror", copy);
  expect(mirror.git("ls-remote", copy)).toBe(mirror.git("ls-remote", url));
  mirror.git("update-ref", "-d", "refs/tags/light");
  mirror.git("push", "-q", "--mirror", copy);
  expect(mirror.git("ls-remote", copy)).not.toMatch(/light/);
  fsck(clonePerson(copy));
});

test("an atomic push is all or nothing; a dry run is nothing", () => {
  const { bucket, url, ann } = pushed();
  const ben = clonePerson(url);
  ann.commit({ "a.txt": "ann\n" });
  ann.git("push", "-q");
  const before = refsOf(bucket);
  ben.commit({ "b.txt": "ben\n" });
  expect(ben.try("push", "--atomic", "origin", "main", "HEAD:refs/heads/new").status).toBe(1);
  expect(refsOf(bucket)).toEqual(before);
  expect(ben.try("push", "--dry-run", "origin", "HEAD:refs/heads/new").status).toBe(0);
  expect(refsOf(bucket)).toEqual(before);
  expect(ben.try("push", "origin", "main", "HEAD:refs/heads/new").status).toBe(1);
  expect(refsOf(bucket)).toHaveLength(before.length + 1);
});

test("what cannot be done is refused in one line", () => {
  const { url, ann } = pushed();
  const refusal = (...args: string[]) => {
    const { status, stderr } = ann.try(...args);
    expect(status).toBeGreaterThan(0);
    return stderr;
  };
  expect(refusal("push", "-o", "x", "origin", "HEAD:refs/heads/o")).toMatch(/does not support 'push-option'/);
  const target = join(tempDir("shallow"), "c");
  expect(refusal("clone", "--depth=1", url, target)).toMatch(/no shallow clones/);
  expect(existsSync(target)).toBe(false);
  expect(refusal("push", "origin", "HEAD:refs/heads/main/sub")).toMatch(/refs\/heads\/main exists/);
  const other = newPerson(url, "--object-format=sha256");
  other.commit({ a: "a" });
  const { status, stderr } = other.try("push", "origin", "HEAD:refs/heads/s");
  expect(status).toBeGreaterThan(0);
  expect(stderr).toMatch(/sha1|object format|hash/);
  const store = tempDir("store");
  ann.git("odb", "init", "magic", store);
  expect(refusal("push", `odb::${store}`, "main")).toMatch(/store of objects/);
});

test("a shallow clone pushes what it has whole, and nothing else", () => {
  const { bucket, ann } = pushed();
  const shallow = clonePerson(`file://${ann.dir}`, "--depth=1");
  shallow.commit({ "s.txt": "s\n" });
  shallow.git("push", "-q", `odb::${bucket}`, "HEAD:refs/heads/s");
  fsck(clonePerson(`odb::${bucket}`, "-b", "s"));
  const empty = `odb::${tempDir("empty")}`;
  expect(shallow.try("push", empty, "HEAD:refs/heads/s").stderr).toMatch(/shallow update not allowed/);
});

test("an empty repository, a detached HEAD, a HEAD whose branch is gone", () => {
  const bucket = tempDir("bucket");
  const url = `odb::${bucket}`;
  expect(clonePerson(url).git("ls-remote")).toBe("");
  const ann = newPerson(url);
  ann.commit({ a: "1" });
  ann.git("checkout", "-q", "--detach");
  ann.git("push", "-q", "origin", "HEAD:refs/heads/work");
  expect(refsOf(bucket)[0]).toBe("HEAD refs/heads/work");
  ann.git("push", "-q", "origin", ":work");
  expect(ann.git("ls-remote")).toBe("");
  expect(clonePerson(url).git("ls-remote")).toBe("");
  ann.git("push", "-q", "origin", "HEAD:refs/heads/main");
  expect(refsOf(bucket)[0]).toBe("HEAD refs/heads/main");
  expect(clonePerson(url).git("symbolic-ref", "HEAD")).toBe("refs/heads/main");
});

test("by size: odb.<name>.minSize; by the attributes of each branch", () => {
  const bucket = tempDir("bucket");
  const ann = newPerson(`odb::${bucket}`);
  ann.git("config", "odb.magic.subprocessCommand", "git-odb-helper-file --name magic");
  ann.git("config", "odb.magic.minSize", "10k");
  ann.commit({
    big: randomBytes(10_240),
    small: randomBytes(10_239),
    ".gitattributes": "keep -odb\n",
    keep: randomBytes(20_000),
  });
  ann.git("push", "-q", "origin", "main");
  const isObject = (name: string) => {
    const oid = git(["rev-parse", name], { cwd: ann.dir });
    return existsSync(join(bucket, `objects/${oid.slice(0, 2)}/${oid}`));
  };
  expect([isObject("HEAD:big"), isObject("HEAD:small"), isObject("HEAD:keep")]).toEqual([true, false, false]);
  fsck(clonePerson(`odb::${bucket}`));
});

test("a partial clone of another remote is pushed whole, what it lacks brought in one batch", () => {
  const source = newPerson("unused");
  source.commit({ ".gitattributes": attributes, "x.bin": randomBytes(9000), a: "a\n" });
  source.commit({ b: "b\n", "y.bin": randomBytes(9000) });
  source.git("config", "uploadpack.allowFilter", "true");
  source.git("config", "uploadpack.allowAnySHA1InWant", "true");
  const bucket = tempDir("bucket");
  for (const filter of ["blob:none", "tree:0"]) {
    const url = `odb::${join(bucket, filter.slice(0, 4))}`;
    const partial = clonePerson(`file://${source.dir}`, `--filter=${filter}`, "--no-checkout");
    partial.git("push", "-q", url, "main");
    rmSync(partial.dir, { recursive: true });
    const clone = clonePerson(url);
    fsck(clone);
    expect(clone.git("rev-list", "--objects", "--all")).toBe(source.git("rev-list", "--objects", "--all"));
  }
});

test("who has not fetched the big blobs pushes on top of them", () => {
  const { url, ann } = pushed();
  const ben = clonePerson(url, "--no-checkout");
  ben.git("update-ref", "HEAD", ben.git("commit-tree", "-p", "HEAD", "-m", "blind", "HEAD^{tree}"));
  const copy = `odb::${tempDir("copy")}`;
  ben.git("push", "-q", "origin", "HEAD:blind");
  expect(ben.git("rev-list", "--objects", "--all", "--missing=print")).toMatch(/^\?/m);
  // Another bucket has nothing yet: what is missing comes from the first.
  ben.git("push", "-q", copy, "HEAD:main");
  fsck(clonePerson(copy));
  ann.git("fetch", "-q");
  expect(ann.git("rev-parse", "origin/blind")).toBe(ben.git("rev-parse", "HEAD"));
});
