/** A lazy fetch of what is in a pack: it asks the bucket for that, and not for every index again. */

import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startServeProcess } from "../support/serve-process.js";
import { cloneServed, newPerson, type Person } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

const PACKS = 6;

/** A bucket with a pack for each commit, and a clone of it without blobs. */
async function manyPacks() {
  const folder = tempDir("served");
  const ann = newPerson(`odb::${folder}`);
  for (let n = 0; n < PACKS; n++) {
    ann.commit({
      [`${n}.txt`]: randomBytes(4000).toString("hex"),
      [`${n}.md`]: randomBytes(30).toString("hex"),
    });
    ann.git("push", "-q", "origin", "main");
  }
  const server = await startServeProcess(folder);
  const clone = await cloneServed(`odb::${server.url}`, "--filter=blob:none", "--no-checkout");
  const asked = async () => {
    const targets = (await server.takeLog()).map(({ target }) => target.split("?")[0] ?? "");
    return targets
      .map((target) => target.replace(/.*\.(idx|pack)$/, "$1").replace(/objects\/\w\w\/.*/, "own"))
      .toSorted();
  };
  await asked();
  return { folder, ann, clone, asked, [Symbol.asyncDispose]: () => server.close() };
}

/** Brings the file's blob from the bucket. */
async function lazily(clone: Person, ann: Person, path: string): Promise<void> {
  const { status, stdout, stderr } = await clone.run(["cat-file", "blob", `HEAD:${path}`]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout.trim()).toBe(readFileSync(join(ann.dir, path), "utf8"));
}

const once = ["/git-odb.json", "/git-odb/refs", "pack"];
const all = ["/", ...once, "/own", ...Array.from({ length: PACKS }, () => "idx")].toSorted();

function cacheOf(clone: Person): { folder: string; names: string[] } {
  const root = join(clone.dir, ".git/odb/.indexes");
  const folder = join(root, readdirSync(root)[0] ?? "");
  return { folder, names: readdirSync(folder) };
}

test("indexes are read once, whatever happens to those that were kept", async () => {
  await using place = await manyPacks();
  const { ann, clone, asked } = place;
  // The clone has looked into all of them.
  await lazily(clone, ann, "0.txt");
  expect(await asked()).toEqual(once);
  const { folder, names } = cacheOf(clone);
  expect(names).toHaveLength(PACKS);
  rmSync(folder, { recursive: true });
  await lazily(clone, ann, "1.txt");
  expect(await asked()).toEqual(all);
  await lazily(clone, ann, "2.txt");
  expect(await asked()).toEqual(once);
  // One is torn, one has lost an id without anybody's notice, one is not ours.
  const [torn = "", changed = ""] = names;
  truncateSync(join(folder, torn), 1500);
  const bytes = readFileSync(join(folder, changed));
  bytes.fill(0xff, 8 + 1024, 8 + 1024 + 20 * bytes.readUInt32BE(8 + 4 * 255));
  writeFileSync(join(folder, changed), bytes);
  writeFileSync(join(folder, "stranger"), "");
  for (let n = 0; n < PACKS; n++) await lazily(clone, ann, `${n}.md`);
  const again = await asked();
  expect(again.filter((key) => key === "idx")).toHaveLength(2);
  expect(again.filter((key) => key === "pack")).toHaveLength(PACKS);
  expect(cacheOf(clone).names.toSorted()).toEqual(names.toSorted());
  // A missing object costs a listing, and no index.
  const { status } = await clone.run(["cat-file", "-e", "1".repeat(40)]);
  expect(status).toBe(1);
  await lazily(clone, ann, "3.txt");
  expect((await asked()).filter((key) => key === "idx")).toEqual([]);
});

test("a pack that has been collected is looked for no more", async () => {
  await using place = await manyPacks();
  const { folder, ann, clone, asked } = place;
  await lazily(clone, ann, "0.txt");
  await asked();
  for (const _ of ["lists", "removes"]) {
    expect((await ann.run(["odb", "gc", "--store", "origin", "--grace=0"])).status).toBe(0);
  }
  expect(readdirSync(join(folder, "objects/pack")).filter((name) => name.endsWith(".pack"))).toHaveLength(1);
  await lazily(clone, ann, "1.txt");
  expect((await asked()).filter((key) => key === "idx")).toHaveLength(1);
  expect(cacheOf(clone).names).toHaveLength(1);
  await lazily(clone, ann, "2.txt");
  expect(await asked()).toEqual(once);
  expect(await clone.run(["fsck"])).toMatchObject({ status: 0 });
});
