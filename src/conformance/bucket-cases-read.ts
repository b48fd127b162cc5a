/** Bucket cases: reading, ranges, readers that leave, and keys that must not mean anything else. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { sourceOf } from "../object/content.js";
import {
  bucketCase,
  failsWith,
  firstChunk,
  holds,
  isAbsent,
  keysOf,
  readAll,
  text,
} from "./bucket-subject.js";

const MiB = 1 << 20;

/** More than any queue of a sane size: a leaked slot or connection a time shows. */
const OFTEN = 40;

export const readCases = [
  bucketCase(
    "absent",
    "an absent object is an answer (notfound), not a failure of git's command",
    async ({ bucket, key, prefix }) => {
      await isAbsent(bucket, key("none"));
      await isAbsent(bucket, key("no/such/folder"));
      await bucket.remove([key("none")]);
      assert.equal(await bucket.copy(key("none"), key("to")), false, "copy of an absent key");
      await isAbsent(bucket, key("to"));
      assert.deepEqual(await keysOf(bucket, prefix), []);
    },
  ),

  bucketCase("folder-is-absent", "a key is not there because another begins with it", async (trial) => {
    const { bucket, key } = trial;
    await bucket.write(key("a/b/c"), text("x"));
    await isAbsent(bucket, key("a"));
    await isAbsent(bucket, key("a/b"));
    await isAbsent(bucket, key("a/b/c/d"));
  }),

  bucketCase(
    "denied-is-not-absent",
    "git would drop or rewrite what it is told is not there",
    async (trial) => {
      const { denied, prefix } = trial;
      assert.ok(denied);
      await failsWith("denied", "head", () => denied.head(`${prefix}a`));
      await failsWith("denied", "read", () => denied.read(`${prefix}a`));
      await failsWith("denied", "write", () => denied.write(`${prefix}a`, text("x")));
      await failsWith("denied", "list", () => keysOf(denied, prefix));
      await failsWith("denied", "remove", () => denied.remove([`${prefix}a`]));
    },
    ["denied"],
  ),

  ...[0, 1, 65_516, 65_517, MiB - 1, MiB + 1].map((size) =>
    bucketCase(`size-${size}`, "sizes at which framing and buffers turn over", async ({ bucket, key }) => {
      const bytes = randomBytes(size);
      const outcome = await bucket.write(key("x"), sourceOf(bytes));
      assert.equal(outcome.written, true);
      await holds(bucket, key("x"), bytes);
    }),
  ),

  bucketCase("big-20-mib", "a big file arrives whole and in pieces, not in one buffer", async (trial) => {
    const { bucket, key } = trial;
    const piece = randomBytes(MiB);
    const size = 20 * MiB;
    async function* open({ start = 0, end = size } = {}) {
      for (let at = start; at < end; ) {
        const part = piece.subarray(at % MiB, Math.min(MiB, (at % MiB) + end - at));
        at += part.length;
        yield part;
      }
    }
    await bucket.write(key("big"), { size, open });
    const hash = createHash("sha256");
    let largest = 0;
    for await (const chunk of (await bucket.read(key("big")))?.content ?? []) {
      hash.update(chunk);
      largest = Math.max(largest, chunk.length);
    }
    const expected = createHash("sha256");
    for (let n = 0; n < 20; n++) expected.update(piece);
    assert.equal(hash.digest("hex"), expected.digest("hex"), "the bytes read are not those written");
    assert.ok(largest <= 4 * MiB, `a chunk of ${largest} bytes`);
  }),

  bucketCase("ranges", "a clone that resumes, a pack index read in parts", async ({ bucket, key }) => {
    const bytes = randomBytes(3000);
    await bucket.write(key("x"), sourceOf(bytes));
    const shapes = [[0], [0, 1], [0, 3000], [1, 2], [2999], [2999, 3000], [1000, 2000], [10, 9999], [0, 0]];
    for (const [start = 0, end] of [...shapes, [7, 7], [3000], [3000, 3001], [5000], [5000, 6000]]) {
      const found = await readAll(bucket, key("x"), end === undefined ? { start } : { start, end });
      assert.ok(
        found?.equals(bytes.subarray(start, end)),
        `range ${start}-${end ?? ""}: ${found?.length} bytes`,
      );
    }
    const body = await bucket.read(key("x"), { range: { start: 5, end: 8 } });
    assert.equal(body?.entry.size, 3000, "the entry of a ranged read has the whole size");
    await firstChunk(body);
  }),

  bucketCase("range-of-empty-and-absent", "the edges of ranges", async ({ bucket, key }) => {
    await bucket.write(key("empty"), text(""));
    for (const range of [{ start: 0 }, { start: 0, end: 5 }, { start: 3 }]) {
      assert.equal((await readAll(bucket, key("empty"), range))?.length, 0);
      assert.equal(await bucket.read(key("none"), { range }), undefined);
    }
  }),

  bucketCase("bad-range", "a wrong range is the caller's fault, not a server's", async ({ bucket, key }) => {
    await bucket.write(key("x"), text("0123456789"));
    for (const range of [
      { start: -1 },
      { start: 5, end: 4 },
      { start: 0.5 },
      { start: 0, end: Number.NaN },
    ]) {
      await failsWith("invalid", JSON.stringify(range), () => readAll(bucket, key("x"), range));
    }
  }),

  bucketCase("key-escapes", "a key from a remote must never leave the bucket", async ({ bucket, prefix }) => {
    const bad = ["", "/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "a\0", "a\nb", "..\\x"];
    for (const key of [...bad, "x".repeat(1025)]) {
      const what = JSON.stringify(key.slice(0, 20));
      await failsWith("invalid", `head ${what}`, () => bucket.head(key));
      await failsWith("invalid", `read ${what}`, () => bucket.read(key));
      await failsWith("invalid", `write ${what}`, () => bucket.write(key, text("x")));
      await failsWith("invalid", `remove ${what}`, () => bucket.remove([key]));
      await failsWith("invalid", `copy from ${what}`, () => bucket.copy(key, `${prefix}x`));
      await failsWith("invalid", `copy to ${what}`, () => bucket.copy(`${prefix}x`, key));
    }
    await failsWith("invalid", "list ../", () => keysOf(bucket, "../"));
  }),

  bucketCase(
    "odd-keys",
    "paths and refs become keys: nothing in them may change their meaning",
    async (trial) => {
      const { bucket, key, prefix } = trial;
      const odd = [
        " ",
        "%2e%2e",
        "%",
        "a b+c",
        "a?b#c",
        "ä",
        "😀",
        ".hidden",
        "a&b=c;d",
        "..a",
        "a'\"b",
        "a:b@c",
        "~",
      ];
      for (const name of odd) await bucket.write(key(`odd/${name}`), text(name));
      for (const name of odd) await holds(bucket, key(`odd/${name}`), name);
      assert.deepEqual((await keysOf(bucket, `${prefix}odd/`)).length, odd.length);
      await bucket.remove(odd.map((name) => key(`odd/${name}`)));
      assert.deepEqual(await keysOf(bucket, prefix), []);
    },
  ),

  bucketCase("reader-returns-early", "a reader that has seen enough must not cost a slot", async (trial) => {
    const { bucket, key } = trial;
    const bytes = randomBytes(2 * MiB);
    await bucket.write(key("x"), sourceOf(bytes));
    for (let n = 0; n < OFTEN; n++) {
      const chunk = await firstChunk(await bucket.read(key("x")));
      assert.ok(bytes.subarray(0, chunk.length).equals(chunk));
    }
    await holds(bucket, key("x"), bytes);
  }),

  bucketCase("consumer-throws", "a consumer's own failure comes back as it is", async ({ bucket, key }) => {
    await bucket.write(key("x"), sourceOf(randomBytes(2 * MiB)));
    const mine = new Error("the consumer's own");
    for (let n = 0; n < OFTEN; n++) {
      const consume = async () => {
        for await (const _ of (await bucket.read(key("x")))?.content ?? []) throw mine;
      };
      await assert.rejects(consume, (error) => error === mine);
    }
    assert.equal((await bucket.head(key("x")))?.size, 2 * MiB);
  }),

  bucketCase("abort-signal", "Ctrl-C ends what is under way", async ({ bucket, key, prefix }) => {
    await bucket.write(key("x"), sourceOf(randomBytes(4 * MiB)));
    const signal = AbortSignal.abort();
    await failsWith("aborted", "head", () => bucket.head(key("x"), { signal }));
    await failsWith("aborted", "read", () => bucket.read(key("x"), { signal }));
    await failsWith("aborted", "write", () => bucket.write(key("y"), text("y"), { signal }));
    await failsWith("aborted", "remove", () => bucket.remove([key("x")], { signal }));
    await failsWith("aborted", "copy", () => bucket.copy(key("x"), key("y"), { signal }));
    await failsWith("aborted", "list", () => bucket.list(prefix, { signal })[Symbol.asyncIterator]().next());
    const midway = new AbortController();
    await failsWith("aborted", "read, midway", async () => {
      const body = await bucket.read(key("x"), { signal: midway.signal });
      for await (const _ of body?.content ?? []) midway.abort();
    });
    assert.deepEqual(await keysOf(bucket, prefix), [key("x")]);
  }),

  bucketCase("overwrite-while-reading", "never a mixture of two versions", async ({ bucket, other, key }) => {
    const [old, young] = [Buffer.alloc(4 * MiB, "o"), Buffer.alloc(4 * MiB, "y")];
    await bucket.write(key("x"), sourceOf(old));
    const body = await bucket.read(key("x"));
    const seen: Uint8Array[] = [];
    try {
      for await (const chunk of body?.content ?? []) {
        if (seen.length === 0) await (other ?? bucket).write(key("x"), sourceOf(young));
        seen.push(Buffer.from(chunk));
      }
    } catch {
      // A failure is an answer too: it is no mixture.
      return;
    }
    assert.ok(Buffer.concat(seen).equals(old), "other bytes than those of the version opened");
  }),
];
