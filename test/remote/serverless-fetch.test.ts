/** What a clone or fetch of a part brings, and what it asks the bucket for. */

import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startServeProcess } from "../support/serve-process.js";
import { clonePerson, cloneServed, newPerson, type Person, person } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

const text = (bytes: number) => randomBytes(bytes / 2).toString("hex");

/** Commits to two branches in turn, each pushed alone, each pack too large to be read at once. */
function twoBranches() {
  const folder = tempDir("served");
  const ann = newPerson(`odb::${folder}`);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", "x.bin": randomBytes(90_000), "base.txt": text(2000) });
  ann.git("branch", "side");
  ann.git("push", "-q", "origin", "main", "side");
  for (let n = 0; n < 3; n++) {
    for (const branch of ["side", "main"]) {
      ann.git("checkout", "-q", branch);
      // Content that the other branch has brought.
      if (branch === "main" && n === 1) ann.git("checkout", "side", "--", "side-0.txt");
      ann.commit({ [`${branch}-${n}.txt`]: text(300_000) });
      ann.git("push", "-q", "origin", branch);
    }
  }
  return { folder, ann };
}

/** Every object that is here. */
function objectsOf(person: Person): string[] {
  return person.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split("\n").toSorted();
}

function reachable(person: Person, ...revisions: string[]): string[] {
  return person
    .git("rev-list", "--objects", "--no-object-names", ...revisions)
    .split("\n")
    .toSorted();
}

function missingOf(person: Person): string[] {
  const listed = person.git("rev-list", "--objects", "--all", "--missing=print");
  return [...listed.matchAll(/^\?(.*)/gm)].map(([, oid = ""]) => oid);
}

test("a clone of one branch leaves the packs of the others", async () => {
  const { folder, ann } = twoBranches();
  await using server = await startServeProcess(folder);
  const dir = join(tempDir("clone"), "c");
  const options = ["-q", "--single-branch", "--no-checkout"];
  expect(await ann.run(["clone", ...options, `odb::${server.url}`, dir])).toMatchObject({
    status: 0,
    stderr: "",
  });
  const clone = person(dir);
  const names = readdirSync(join(dir, ".git/objects/pack")).filter((name) => name.endsWith(".keep"));
  expect(names).toEqual([]);
  const big = ann.git("rev-parse", "main:x.bin");
  const here = objectsOf(clone);
  expect(reachable(ann, "main").filter((oid) => !here.includes(oid))).toEqual([big]);
  expect(here).not.toContain(ann.git("rev-parse", "side:side-2.txt"));
  expect(await clone.run(["fsck", "--full"])).toMatchObject({ status: 0 });
  // Of a pack that is not needed its index and its front.
  const targets = (await server.takeLog()).map(({ target }) => target.replace(/.*\.(idx|pack)$/, "$1"));
  expect(targets.filter((target) => target === "idx")).toHaveLength(7);
  expect(targets.filter((target) => target === "pack").length).toBeLessThanOrEqual(7 + 5);
  expect(await clone.run(["fetch", "-q", "origin", "side"])).toMatchObject({ status: 0 });
  expect(clone.git("rev-parse", "FETCH_HEAD")).toBe(ann.git("rev-parse", "side"));
  expect(missingOf(clone)).toEqual([big]);
});

test("a fetch of what is new looks into new packs only", async () => {
  const { folder, ann } = twoBranches();
  await using server = await startServeProcess(folder);
  const clone = await cloneServed(`odb::${server.url}`);
  ann.commit({ "new.txt": "new\n" });
  ann.git("push", "-q", "origin", "main");
  await server.takeLog();
  expect(await clone.run(["fetch", "-q"])).toMatchObject({ status: 0 });
  const asked = (await server.takeLog()).map(({ target }) => target.replace(/pack-[0-9a-f]+/, "pack-"));
  expect(asked).toEqual([
    "/git-odb/refs",
    "/?list=&prefix=objects%2Fpack%2F&after=",
    "/objects/pack/pack-.idx",
    "/objects/pack/pack-.pack",
  ]);
  for (const branch of ["side", "main", "side"]) {
    ann.git("checkout", "-q", branch);
    ann.commit({ [`again-${branch}.txt`]: text(1000) });
    ann.git("push", "-q", "origin", branch);
  }
  expect(await clone.run(["fetch", "-q"])).toMatchObject({ status: 0 });
  expect(await clone.run(["fsck", "--full"])).toMatchObject({ status: 0 });
  expect((await server.takeLog()).filter(({ target }) => target.endsWith(".pack"))).toHaveLength(3);
  expect(clone.git("rev-parse", "origin/main", "origin/side")).toBe(ann.git("rev-parse", "main", "side"));
});

test.each([
  { filter: "blob:none", small: false },
  { filter: "tree:0", small: false },
  { filter: "blob:limit=1024", small: true },
])(
  "a clone with --filter=$filter is whole for git, and gets the rest when it is needed",
  ({ filter, small }) => {
    const folder = tempDir("bucket");
    const ann = newPerson(`odb::${folder}`);
    ann.commit({ ".gitattributes": "*.bin odb=magic\n", "x.bin": randomBytes(9000), "base.txt": "base\n" });
    ann.git("push", "-q", "origin", "main");
    const long = text(60_000);
    // In one pack, with the deltas that it has.
    for (let n = 0; n < 4; n++) ann.commit({ "base.txt": `${n}\n${long}`, "main-0.txt": `${n}\n` });
    ann.git("push", "-q", "origin", "main");
    const clone = clonePerson(`odb::${folder}`, `--filter=${filter}`, "--no-checkout");
    expect(clone.git("config", "remote.origin.promisor")).toBe("true");
    expect(clone.git("config", "remote.origin.partialclonefilter")).toBe(filter);
    expect(clone.try("fsck", "--full")).toMatchObject({ status: 0 });
    const own = [ann.git("rev-parse", "main:x.bin")];
    const kinds = ann.git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)");
    const all = [...kinds.matchAll(/^blob (.*)/gm)].map(([, oid = ""]) => oid);
    expect(missingOf(clone).toSorted()).toEqual(small ? own : all.toSorted());
    clone.git("gc", "-q", "--prune=now");
    clone.git("checkout", "-q", "main");
    for (const name of ["x.bin", "base.txt", "main-0.txt"]) {
      expect(readFileSync(join(clone.dir, name)).equals(readFileSync(join(ann.dir, name)))).toBe(true);
    }
    ann.commit({ "later.txt": "later\n" });
    ann.git("push", "-q", "origin", "main");
    clone.git("pull", "-q");
    expect(readFileSync(join(clone.dir, "later.txt"), "utf8")).toBe("later\n");
    clone.commit({ "mine.txt": "mine\n" });
    clone.git("push", "-q");
    expect(clone.try("fsck", "--full")).toMatchObject({ status: 0 });
    expect(clonePerson(`odb::${folder}`).try("fsck", "--full")).toMatchObject({ status: 0 });
  },
);

test("a clone says that a filter by size leaves out nothing of the packs, when one is larger", () => {
  const folder = tempDir("bucket");
  const ann = newPerson(`odb::${folder}`);
  ann.commit({ "plain.dat": randomBytes(9000) });
  ann.git("push", "-q", "origin", "main");
  const told = (...args: string[]) =>
    ann.try("clone", ...args, `odb::${folder}`, join(tempDir("clone"), "c")).stderr;
  const warning = "git-remote-odb: --filter=blob:limit=1024: packs come whole";
  expect(told("--filter=blob:limit=1k")).toContain(warning);
  expect(told("-q", "--filter=blob:limit=1k")).toBe("");
  expect(told("--filter=blob:limit=1m")).not.toContain("filter");
  expect(told("--filter=blob:none")).not.toContain("filter=");
});

test("metadata refs and refs to blobs and trees travel like any", () => {
  const url = `odb::${tempDir("bucket")}`;
  const ann = newPerson(url);
  ann.commit({ "a.txt": "a\n" });
  writeBlob(ann, "refs/odbs/magic/config", '[odb "magic"]\n');
  const oid = writeBlob(ann, "refs/blobs/one", "one\n");
  ann.git("update-ref", `refs/odbs/magic/${oid}`, oid);
  ann.git("update-ref", "refs/trees/one", ann.git("rev-parse", "HEAD^{tree}"));
  const specs = ["odbs", "blobs", "trees"].map((kind) => `+refs/${kind}/*:refs/${kind}/*`);
  ann.git("push", "-q", "origin", "main");
  ann.git("push", "-q", "origin", ...specs);
  const ben = clonePerson(url);
  ben.git("fetch", "-q", "origin", ...specs);
  const refs = (person: Person) => person.git("for-each-ref", "refs/odbs", "refs/blobs", "refs/trees");
  expect(refs(ben)).toBe(refs(ann));
  expect(refs(ben).split("\n")).toHaveLength(4);
  expect(refs(clonePerson(url, "--mirror"))).toBe(refs(ann));
  writeBlob(ben, "refs/odbs/magic/config", "[odb]\n");
  ben.git("push", "-q", "origin", ...specs, ":refs/blobs/one");
  ann.git("fetch", "-q", "--prune", "origin", ...specs);
  expect(refs(ann)).toBe(refs(ben).replace(/.*refs\/blobs.*\n/, ""));
  expect(clonePerson(url).try("fsck", "--full")).toMatchObject({ status: 0 });
});

function writeBlob(person: Person, ref: string, content: string): string {
  const path = join(person.dir, ".git/blob");
  writeFileSync(path, content);
  const oid = person.git("hash-object", "-w", path);
  person.git("update-ref", ref, oid);
  return oid;
}
