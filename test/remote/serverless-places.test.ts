/** Repositories in buckets where git is used in less usual ways. */

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { clonePerson, newPerson, person } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

function started() {
  const bucket = tempDir("bucket");
  const url = `odb::${bucket}`;
  const ann = newPerson(url);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", "x.bin": randomBytes(9000), "a.txt": "a\n" });
  ann.git("push", "-q", "-u", "origin", "main");
  return { bucket, url, ann };
}

test("a linked worktree pushes and fetches as the main one", () => {
  const { url, ann } = started();
  const tree = person(join(tempDir("tree"), "t"));
  ann.git("worktree", "add", "-q", "-b", "topic", tree.dir);
  const tip = tree.commit({ "y.bin": randomBytes(9000) });
  tree.git("push", "-q", "origin", "topic");
  const ben = clonePerson(url);
  const other = person(join(tempDir("tree"), "t"));
  ben.git("worktree", "add", "-q", other.dir, "topic");
  expect(other.git("rev-parse", "HEAD")).toBe(tip);
  expect(readFileSync(join(other.dir, "y.bin")).equals(readFileSync(join(tree.dir, "y.bin")))).toBe(true);
  ann.commit({ "a.txt": "b\n" });
  ann.git("push", "-q");
  other.git("fetch", "-q");
  expect(other.git("rev-parse", "origin/main")).toBe(ann.git("rev-parse", "HEAD"));
  expect(other.try("fsck", "--full")).toMatchObject({ status: 0 });
});

test("a clone that borrows from another one brings what that one lacks", () => {
  const { url, ann } = started();
  const lender = clonePerson(url);
  ann.commit({ "new.txt": "new\n", "y.bin": randomBytes(9000) });
  ann.git("push", "-q");
  const borrower = clonePerson(url, "--reference", lender.dir);
  expect(borrower.git("rev-parse", "HEAD")).toBe(ann.git("rev-parse", "HEAD"));
  expect(borrower.try("fsck", "--full")).toMatchObject({ status: 0 });
  expect(Number(/^in-pack: (\d+)/m.exec(borrower.git("count-objects", "-v"))?.[1])).toBeLessThan(6);
  borrower.commit({ "mine.txt": "mine\n" });
  borrower.git("push", "-q");
  expect(clonePerson(url).try("fsck", "--full")).toMatchObject({ status: 0 });
});

test("a bare clone fetches, and pushes on", () => {
  const { url, ann } = started();
  const bare = clonePerson(url, "--bare");
  ann.commit({ "y.bin": randomBytes(9000) });
  ann.git("push", "-q");
  bare.git("fetch", "-q", "origin", "+refs/heads/*:refs/heads/*");
  const copy = `odb::${tempDir("copy")}`;
  bare.git("push", "-q", copy, "main");
  expect(clonePerson(copy).git("rev-parse", "HEAD")).toBe(ann.git("rev-parse", "HEAD"));
  expect(bare.try("fsck", "--full")).toMatchObject({ status: 0 });
});

test("a submodule in a bucket needs leave, as any transport that git does not know", () => {
  const { url, ann } = started();
  const above = newPerson("unused");
  const refused = above.try("submodule", "--quiet", "add", url, "module");
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toMatch(/transport 'odb' not allowed/);
  rmSync(join(above.dir, ".git/modules"), { recursive: true, force: true });
  const allowed = ["-c", "protocol.odb.allow=always"];
  above.git(...allowed, "submodule", "--quiet", "add", url, "module");
  above.commit({});
  expect(readFileSync(join(above.dir, "module/x.bin"))).toEqual(readFileSync(join(ann.dir, "x.bin")));
  const target = join(tempDir("clone"), "c");
  const clone = ["clone", "-q", "--recurse-submodules", `file://${above.dir}`, target];
  above.git(...allowed, "-c", "protocol.file.allow=always", ...clone);
  expect(existsSync(join(target, "module/x.bin"))).toBe(true);
});

test("a branch whose .gitattributes changed in its history: what any commit marks is an object of its own", () => {
  const bucket = tempDir("bucket");
  const ann = newPerson(`odb::${bucket}`);
  const bytes = () => randomBytes(3000);
  mkdirSync(join(ann.dir, "d"));
  const early = { "early.bin": bytes(), "d/early.dat": bytes() };
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", ...early });
  ann.commit({ ".gitattributes": "", "d/.gitattributes": "*.dat odb=magic\n", "late.bin": bytes() });
  rmSync(join(ann.dir, "d/.gitattributes"));
  writeFileSync(join(ann.dir, "d/late.dat"), bytes());
  ann.commit({});
  ann.git("push", "-q", "origin", "main");
  const isObject = (path: string) => {
    const oid = ann.git("rev-parse", `HEAD:${path}`);
    return existsSync(join(bucket, `objects/${oid.slice(0, 2)}/${oid}`));
  };
  const found = ["early.bin", "d/early.dat", "late.bin", "d/late.dat"].filter(isObject);
  expect(found).toEqual(["early.bin", "d/early.dat"]);
  // Marked later: what a pack has already stays there.
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", "last.bin": bytes() });
  ann.git("push", "-q", "origin", "main");
  expect(["late.bin", "last.bin"].filter(isObject)).toEqual(["last.bin"]);
  const clone = clonePerson(`odb::${bucket}`);
  expect(clone.try("fsck", "--full")).toMatchObject({ status: 0 });
  expect(clone.git("ls-tree", "-r", "HEAD")).toBe(ann.git("ls-tree", "-r", "HEAD"));
});
