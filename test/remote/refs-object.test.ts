import fc from "fast-check";
import { expect, test } from "vitest";
import { memoryBucket } from "../../src/bucket/memory.js";
import type { ObjectId } from "../../src/object/id.js";
import {
  clashes,
  formatRefs,
  isRefName,
  noRefs,
  parseRefs,
  type RefTable,
  readRefs,
  replaceRefs,
  withChanges,
} from "../../src/remote/refs-object.js";
import { tryGit } from "../support/git.js";

const oid = (digit: string) => digit.repeat(40) as ObjectId;
const main = { ref: "refs/heads/main", oid: oid("1") };

test("what is written is what is read", () => {
  const hex = fc.stringMatching(/^[0-9a-f]{40}$/) as fc.Arbitrary<ObjectId>;
  const name = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8})?$/).map((rest) => `refs/heads/${rest}`);
  const change = fc.record({ ref: name, oid: hex, peeled: hex });
  fc.assert(
    fc.property(fc.array(change), name, (changes, head) => {
      const table = withChanges(noRefs, changes, head);
      const found = parseRefs(formatRefs(table), "t");
      expect(found).toEqual(table);
    }),
  );
});

test("whatever is no table is refused, not read as fewer refs", () => {
  const good = formatRefs(withChanges(noRefs, [main], main.ref));
  for (const bad of [
    "",
    good.slice(0, -1),
    good.replace("HEAD ", ""),
    good.replace("1111", "111x"),
    good.replace("\t", " "),
    good.replace("refs/heads/main\n", "refs/heads/main\nrubbish\n"),
    `${good}${"2".repeat(64)}\trefs/heads/long\n`,
    `${good}${oid("2")}\trefs/heads/..\n`,
  ]) {
    expect(() => parseRefs(bad, "bucket/git-odb/refs")).toThrow(/bucket\/git-odb\/refs is (damaged|cut off)/);
  }
});

test("only one of two writers replaces what both have read", async () => {
  const bucket = memoryBucket();
  const empty = await readRefs(bucket);
  const write = (snapshot: typeof empty, table: RefTable) => replaceRefs(bucket, snapshot, table, true);
  const table = withChanges(noRefs, [main], main.ref);
  expect((await write(empty, table)).written).toBe(true);
  expect((await write(empty, table)).written).toBe(false);
  const seen = await readRefs(bucket);
  const next = withChanges(seen.table, [{ ...main, oid: oid("2") }], main.ref);
  expect((await write(seen, next)).written).toBe(true);
  expect((await write(seen, table)).written).toBe(false);
  expect((await readRefs(bucket)).table.refs.get(main.ref)).toBe(oid("2"));
});

test("a ref cannot be a folder of another", () => {
  const table = withChanges(noRefs, [main, { ref: "refs/heads/main/sub", oid: oid("2") }], main.ref);
  expect(clashes(table)).toEqual([{ folder: "refs/heads/main", ref: "refs/heads/main/sub" }]);
  expect(clashes(withChanges(table, [{ ref: main.ref, oid: undefined }], main.ref))).toEqual([]);
});

test("ref names are those that git takes", () => {
  for (const name of [
    "refs/heads/a",
    "refs/heads/a.lock",
    "refs/heads/.a",
    "refs/heads/a..b",
    "refs/heads/a b",
    "refs/heads/a/",
    "refs//a",
    "refs/heads/a@{b",
    "refs/heads/ä",
    "refs/heads/a~",
    "refs/heads/a.",
    "refs/heads/-",
    "refs/heads/a.lock/b",
    "refs/heads/@",
  ]) {
    expect([name, isRefName(name)]).toEqual([name, tryGit(["check-ref-format", name]).status === 0]);
  }
});
