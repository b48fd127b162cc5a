/** Bucket cases: conditions, and what several writers of one key may and may not see. */

import assert from "node:assert/strict";
import type { Bucket } from "../bucket/bucket.js";
import { type Content, sourceOf } from "../object/content.js";
import { bucketCase, failsWith, holds, isAbsent, readAll, text } from "./bucket-subject.js";

export const raceCases = [
  bucketCase(
    "if-absent",
    "an upload must not replace what another has just put",
    async ({ bucket, key }) => {
      assert.equal((await bucket.write(key("x"), text("one"), { ifAbsent: true })).written, true);
      assert.equal((await bucket.write(key("x"), text("two"), { ifAbsent: true })).written, false);
      await holds(bucket, key("x"), "one");
      await bucket.remove([key("x")]);
      assert.equal((await bucket.write(key("x"), text("three"), { ifAbsent: true })).written, true);
      await holds(bucket, key("x"), "three");
    },
    ["conditional"],
  ),

  bucketCase(
    "if-match",
    "a push over another's push is refused",
    async ({ bucket, key }) => {
      await bucket.write(key("x"), text("one"));
      const first = await etagOf(bucket, key("x"));
      assert.equal((await bucket.write(key("x"), text("two"), { ifMatch: first })).written, true);
      assert.equal((await bucket.write(key("x"), text("lost"), { ifMatch: first })).written, false);
      await holds(bucket, key("x"), "two");
      const { etag } = (await bucket.write(key("x"), text("six"))) as { etag?: string };
      const second = etag ?? (await etagOf(bucket, key("x")));
      assert.equal((await bucket.write(key("x"), text("ten"), { ifMatch: second })).written, true);
      await holds(bucket, key("x"), "ten");
    },
    ["conditional"],
  ),

  bucketCase(
    "if-match-of-absent",
    "a deleted ref must not come back",
    async ({ bucket, key }) => {
      await bucket.write(key("x"), text("one"));
      const etag = await etagOf(bucket, key("x"));
      await bucket.remove([key("x")]);
      assert.equal((await bucket.write(key("x"), text("two"), { ifMatch: etag })).written, false);
      await isAbsent(bucket, key("x"));
    },
    ["conditional"],
  ),

  bucketCase(
    "refused-leaves-source",
    "a lost race is cheap, and the next try has its source",
    async (trial) => {
      const { bucket, key } = trial;
      await bucket.write(key("x"), text("one"));
      const source = sourceOf(Buffer.alloc(300_000, "z"));
      assert.equal((await bucket.write(key("x"), source, { ifAbsent: true })).written, false);
      await bucket.write(key("x"), source);
      assert.equal((await bucket.head(key("x")))?.size, 300_000);
    },
    ["conditional"],
  ),

  bucketCase(
    "two-conditions",
    "a caller's mistake is said, not guessed at",
    async ({ bucket, key }) => {
      const both = { ifAbsent: true, ifMatch: "x" };
      await failsWith("invalid", "ifAbsent and ifMatch", () => bucket.write(key("x"), text("x"), both));
      await isAbsent(bucket, key("x"));
    },
    ["conditional"],
  ),

  bucketCase(
    "condition-not-ignored",
    "a push without a condition would lose another's",
    async (trial) => {
      const { bucket, key } = trial;
      await bucket.write(key("x"), text("one"));
      await failsWith("unsupported", "ifMatch", () =>
        bucket.write(key("x"), text("two"), { ifMatch: "other" }),
      );
      await failsWith("unsupported", "ifAbsent", () =>
        bucket.write(key("x"), text("two"), { ifAbsent: true }),
      );
      await holds(bucket, key("x"), "one");
    },
    ["unconditional"],
  ),

  bucketCase(
    "race-if-absent",
    "exactly one of many wins",
    async ({ bucket, other = bucket, key }) => {
      const writers = Array.from({ length: 8 }, (_, n) => ({
        bucket: n % 2 ? other : bucket,
        value: `writer ${n}`,
      }));
      const outcomes = await Promise.all(
        writers.map((writer) => writer.bucket.write(key("x"), slowly(writer.value), { ifAbsent: true })),
      );
      const winners = writers.filter((_, n) => outcomes[n]?.written);
      assert.equal(winners.length, 1, `${winners.length} writers won`);
      await holds(bucket, key("x"), winners[0]?.value ?? "");
    },
    ["conditional"],
  ),

  bucketCase(
    "race-if-match",
    "exactly one of many wins",
    async ({ bucket, other = bucket, key }) => {
      await bucket.write(key("x"), text("old"));
      const ifMatch = await etagOf(bucket, key("x"));
      const writers = Array.from({ length: 8 }, (_, n) => ({
        bucket: n % 2 ? other : bucket,
        value: `writer ${n}`,
      }));
      const outcomes = await Promise.all(
        writers.map((writer) => writer.bucket.write(key("x"), slowly(writer.value), { ifMatch })),
      );
      const winners = writers.filter((_, n) => outcomes[n]?.written);
      assert.equal(winners.length, 1, `${winners.length} writers won`);
      await holds(bucket, key("x"), winners[0]?.value ?? "");
    },
    ["conditional"],
  ),

  bucketCase(
    "counter",
    "no update is lost between writers who try again",
    async (trial) => {
      const { bucket, other = bucket, key } = trial;
      await bucket.write(key("n"), text("0"));
      await Promise.all([bucket, other, bucket, other].map((each) => countUp(each, key("n"), 5)));
      await holds(bucket, key("n"), "20");
    },
    ["conditional"],
  ),

  bucketCase(
    "parallel-put-same-key",
    "several clones put one object",
    async ({ bucket, other = bucket, key }) => {
      const values = Array.from({ length: 8 }, (_, n) => Buffer.alloc(70_000 + n, `${n}`));
      await Promise.all(values.map((value, n) => (n % 2 ? other : bucket).write(key("x"), sourceOf(value))));
      const found = await readAll(bucket, key("x"));
      assert.ok(
        values.some((value) => found?.equals(value)),
        "the bytes are no writer's own",
      );
    },
  ),

  bucketCase("seen-by-others", "what is written is visible to the next reader anywhere", async (trial) => {
    const { bucket, other = bucket, key } = trial;
    for (let n = 0; n < 5; n++) {
      await bucket.write(key("x"), text(`${n}`));
      await holds(other, key("x"), `${n}`);
    }
    await bucket.remove([key("x")]);
    await isAbsent(other, key("x"));
  }),
];

async function etagOf(bucket: Bucket, key: string): Promise<string> {
  const etag = (await bucket.head(key))?.etag;
  assert.ok(etag, "head gives no etag");
  return etag;
}

/** Bytes that come in single steps, so that racing writers overlap. */
function slowly(value: string) {
  async function* open(): Content {
    for (const byte of Buffer.from(value)) {
      await new Promise((resolve) => setImmediate(resolve));
      yield Buffer.of(byte);
    }
  }
  return { size: value.length, open };
}

async function countUp(bucket: Bucket, key: string, times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const body = await bucket.read(key);
    const etag = body?.entry.etag;
    assert.ok(body && etag, "nothing to count from");
    let seen = "";
    for await (const chunk of body.content) seen += Buffer.from(chunk).toString();
    const outcome = await bucket.write(key, text(`${Number(seen) + 1}`), { ifMatch: etag });
    if (outcome.written) done++;
  }
}
