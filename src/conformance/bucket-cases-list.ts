/** Bucket cases: listings, their order, their pages and their ends. */

import assert from "node:assert/strict";
import type { Bucket } from "../bucket/bucket.js";
import { bucketCase, holds, keysOf, text } from "./bucket-subject.js";

/** One more page than the 1000 keys that S3 and others give at a time, and a few. */
const MANY = 1005;

export const listCases = [
  bucketCase("list-entries", "sizes of a listing stand for the objects", async ({ bucket, key, prefix }) => {
    for (const name of ["a", "bb", "c/ccc"]) await bucket.write(key(name), text(name));
    for await (const entry of bucket.list(prefix)) {
      const head = await bucket.head(entry.key);
      assert.equal(entry.size, entry.key.length - prefix.length);
      assert.equal(entry.size, head?.size);
      if (entry.etag !== undefined) assert.equal(entry.etag, head?.etag, "etag of the listing and of head");
      if (entry.modified) assert.ok(Math.abs(entry.modified.getTime() - Date.now()) < 86_400_000);
    }
    assert.deepEqual(await keysOf(bucket, prefix), [key("a"), key("bb"), key("c/ccc")]);
  }),

  bucketCase("list-order", "merging two listings needs one order: that of the bytes", async (trial) => {
    const { bucket, key, prefix } = trial;
    const names = [
      "a-",
      "a.b",
      "a/b",
      "a/b.c",
      "a0",
      "aB",
      "a_",
      "aa",
      "b/c/d",
      "b/c-d",
      "é",
      "\uffee",
      "😀",
    ];
    await inParallel(names, (name) => bucket.write(key(name), text(name)));
    const sorted = names.map(key).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(await keysOf(bucket, prefix), sorted);
  }),

  bucketCase("list-prefix", "a prefix is the beginning of a string, not a folder", async (trial) => {
    const { bucket, key, prefix } = trial;
    for (const name of ["a", "ab", "ab-c", "abc/d", "abc/e/f", "b/a"])
      await bucket.write(key(name), text(name));
    const listed = async (start: string) =>
      (await keysOf(bucket, prefix + start)).map((full) => full.slice(prefix.length));
    assert.deepEqual(await listed(""), ["a", "ab", "ab-c", "abc/d", "abc/e/f", "b/a"]);
    assert.deepEqual(await listed("ab"), ["ab", "ab-c", "abc/d", "abc/e/f"]);
    assert.deepEqual(await listed("abc/"), ["abc/d", "abc/e/f"]);
    assert.deepEqual(await listed("abc/e"), ["abc/e/f"]);
    assert.deepEqual(await listed("abc/d"), ["abc/d"]);
    assert.deepEqual(await listed("x/y"), []);
    assert.deepEqual(await keysOf(bucket, prefix.slice(0, -1)), await keysOf(bucket, prefix));
  }),

  bucketCase("list-after", "a listing is taken up where it was left", async ({ bucket, key, prefix }) => {
    const names = ["a.b", "a/b", "b/c/d", "b/e", "c"];
    for (const name of names) await bucket.write(key(name), text(name));
    for (const after of ["a", "a.b", "a/b", "a/z", "b", "b/c", "b/c/d", "b/c0", "b/e", "c", "z"]) {
      const expected = names.filter((name) => name > after).map(key);
      assert.deepEqual(await keysOf(bucket, prefix, prefix + after), expected, `after ${after}`);
    }
    assert.deepEqual(await keysOf(bucket, `${prefix}b/`, key("b/c/d")), [key("b/e")]);
  }),

  bucketCase(
    "list-over-1000",
    "pages must join without a gap or a repeat",
    async ({ bucket, key, prefix }) => {
      const names = Array.from({ length: MANY }, (_, n) => `${n % 3}/${String(n).padStart(5, "0")}`);
      await inParallel(names, (name) => bucket.write(key(name), text("x")));
      const sorted = names.map(key).sort();
      assert.deepEqual(await keysOf(bucket, prefix), sorted);
      assert.deepEqual(await keysOf(bucket, prefix, sorted[999]), sorted.slice(1000));
      await bucket.remove(sorted);
      assert.deepEqual(await keysOf(bucket, prefix), []);
    },
  ),

  bucketCase(
    "list-left-early",
    "a listing that is left must not cost a slot",
    async ({ bucket, key, prefix }) => {
      for (const name of ["a", "b", "c"]) await bucket.write(key(name), text(name));
      for (let n = 0; n < 40; n++) {
        for await (const entry of bucket.list(prefix)) {
          assert.equal(entry.key, key("a"));
          break;
        }
      }
      await holds(bucket, key("c"), "c");
    },
  ),

  bucketCase("use-while-listing", "each key of a listing is looked at while it goes on", async (trial) => {
    const { bucket, key, prefix } = trial;
    const names = Array.from({ length: 30 }, (_, n) => `k${String(n).padStart(2, "0")}`);
    await inParallel(names, (name) => bucket.write(key(name), text(name)));
    for await (const entry of bucket.list(prefix)) {
      await holds(bucket, entry.key, entry.key.slice(prefix.length));
      await bucket.remove([entry.key]);
    }
    assert.deepEqual(await keysOf(bucket, prefix), []);
  }),
];

/** As a caller with a limit would: sixteen at a time. */
async function inParallel<T>(
  items: readonly T[],
  act: (item: T) => ReturnType<Bucket["write"]>,
): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await act(item);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}
