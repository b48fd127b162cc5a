import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { collect, contentOf } from "../../src/object/content.js";
import type { HashAlgorithm, ObjectId } from "../../src/object/id.js";
import { concatPacks, indexCount, mayShareObjects, PACK_HEAD } from "../../src/pack/concat.js";
import { parseIndex } from "../../src/pack/idx.js";
import { type JoinSource, planJoin } from "../../src/pack/join.js";
import { git, tempRepo } from "../support/git.js";

interface Packed extends JoinSource {
  readonly bytes: Buffer;
  readonly index: Buffer;
}

/** A repository whose every commit changes a large file a little: long chains of deltas. */
function deltas(hash: HashAlgorithm, commits = 24): string {
  const repo = tempRepo(`--object-format=${hash}`);
  const lines = Array.from({ length: 400 }, () => randomBytes(20).toString("hex"));
  for (let n = 0; n < commits; n++) {
    lines[(n * 13) % 400] = randomBytes(20).toString("hex");
    writeFileSync(join(repo, "a"), lines.join("\n"));
    git(["add", "a"], { cwd: repo });
    git(["commit", "-qm", `${n}`], { cwd: repo });
  }
  return repo;
}

async function pack(repo: string, hash: HashAlgorithm, ...revisions: string[]): Promise<Packed> {
  const args = [
    "pack-objects",
    "--revs",
    "--delta-base-offset",
    "-q",
    join(repo, `.git/p-${revisions.length}`),
  ];
  const name = git(args, { cwd: repo, input: `${revisions.join("\n")}\n` });
  const base = join(repo, `.git/p-${revisions.length}-${name}`);
  const [bytes, index] = [readFileSync(`${base}.pack`), readFileSync(`${base}.idx`)];
  const entries: { oid: ObjectId; offset: number }[] = [];
  for await (const { oid, offset } of (await parseIndex(index, hash, "idx")).index.entries()) {
    entries.push({ oid, offset });
  }
  entries.sort((a, b) => a.offset - b.offset);
  return { name, size: bytes.length, entries, bytes, index };
}

async function joined(sources: readonly Packed[], hash: HashAlgorithm, isWanted: (oid: ObjectId) => boolean) {
  const plan = planJoin(sources, hash, isWanted);
  const runs = plan.runs.map(
    ({ source, start, end }) => sources[source]?.bytes.subarray(start, end) ?? Buffer.of(),
  );
  return { plan, bytes: await collect(plan.pack(contentOf(...runs)), 1 << 30) };
}

/** Indexes a pack as git does. @returns the ids that it now has */
function indexed(
  bytes: Uint8Array,
  hash: HashAlgorithm,
  repo = tempRepo(`--object-format=${hash}`),
): string[] {
  git(["index-pack", "--stdin", "--fix-thin"], { cwd: repo, input: bytes });
  expect(readdirSync(join(repo, ".git/objects/pack")).length).toBeGreaterThan(0);
  return git(["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"], { cwd: repo }).split("\n");
}

test.each(["sha1", "sha256"] as const)(
  "half of a pack finds its bases where the other half is, %s",
  async (hash) => {
    const source = await pack(deltas(hash), hash, "main");
    const first = await joined([source], hash, (oid) => oid.charCodeAt(3) % 2 === 0);
    const other = await joined([source], hash, (oid) => oid.charCodeAt(3) % 2 === 1);
    const repo = tempRepo(`--object-format=${hash}`);
    // The bases of each half are in the other: both need all of it first.
    const all = await joined([source], hash, () => true);
    expect(indexed(all.bytes, hash, repo)).toEqual(source.entries.map(({ oid }) => oid).toSorted());
    for (const half of [first, other])
      expect(indexed(half.bytes, hash, repo)).toHaveLength(source.entries.length);
    expect(first.plan.count + other.plan.count).toBe(source.entries.length);
  },
);

test("packs that overlap in any way make one pack in which each object is once", async () => {
  const repo = deltas("sha1");
  const sources = [await pack(repo, "sha1", "main~5", "^main~20"), await pack(repo, "sha1", "main")];
  const { plan, bytes } = await joined(sources, "sha1", () => true);
  const oids = new Set(sources.flatMap(({ entries }) => entries.map(({ oid }) => oid)));
  expect(plan.count).toBe(oids.size);
  expect(indexed(bytes, "sha1")).toEqual([...oids].toSorted());
  expect(
    mayShareObjects(
      sources.map(({ index }) => index),
      "sha1",
    ),
  ).toBe(true);
});

test("packs that share nothing are put one behind the other", async () => {
  const repo = deltas("sha1");
  const sources = [await pack(repo, "sha1", "main~15"), await pack(repo, "sha1", "main", "^main~15")];
  const indexes = sources.map(({ index }) => index);
  expect(mayShareObjects(indexes, "sha1")).toBe(false);
  const count = indexes.reduce((sum, index) => sum + indexCount(index), 0);
  const bodies = contentOf(...sources.map(({ bytes }) => bytes.subarray(PACK_HEAD, -20)));
  const ids = indexed(await collect(concatPacks(count, "sha1", bodies), 1 << 30), "sha1");
  expect(ids).toEqual(sources.flatMap(({ entries }) => entries.map(({ oid }) => oid)).toSorted());
});

test("an index that does not fit its pack is no reason for a wrong object", async () => {
  const source = await pack(deltas("sha1", 5), "sha1", "main");
  const shifted = {
    ...source,
    entries: source.entries.map(({ oid, offset }) => ({ oid, offset: offset + 1 })),
  };
  const broken = joined([shifted], "sha1", () => true).then(({ bytes }) => indexed(bytes, "sha1"));
  await expect(broken).rejects.toThrow();
});
