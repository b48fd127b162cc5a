/** Bucket cases: writing whole or not at all, replacing, removing, copying. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Source, sourceOf } from "../object/content.js";
import {
  bucketCase,
  entryRead,
  failsWith,
  holds,
  isAbsent,
  keysOf,
  readAll,
  sourceYielding,
  text,
} from "./bucket-subject.js";

const MiB = 1 << 20;

export const writeCases = [
  bucketCase("put-twice", "the same object is put by two clones", async ({ bucket, key }) => {
    await bucket.write(key("x"), text("one"));
    await bucket.write(key("x"), text("one"));
    await holds(bucket, key("x"), "one");
    await bucket.write(key("x"), text("and a longer two"));
    await holds(bucket, key("x"), "and a longer two");
    await bucket.write(key("x"), text(""));
    await holds(bucket, key("x"), "");
  }),

  bucketCase(
    "etags-differ",
    "a compare-and-swap stands on it",
    async ({ bucket, key }) => {
      const seen = new Set<string>();
      for (let n = 0; n < 10; n++) {
        const outcome = await bucket.write(key("x"), text(`version ${n}`));
        const etag = (await bucket.head(key("x")))?.etag;
        assert.ok(etag, "head gives no etag");
        if (outcome.written && outcome.etag !== undefined)
          assert.equal(outcome.etag, etag, "etag of the write");
        assert.equal((await entryRead(bucket, key("x")))?.etag, etag, "etag of read");
        assert.ok(!seen.has(etag), `the etag ${etag} stands for two versions`);
        seen.add(etag);
      }
    },
    ["conditional"],
  ),

  bucketCase("source-fails-midway", "a reader that fails must not leave half a file", async (trial) => {
    const { bucket, key, prefix } = trial;
    const mine = new Error("disk gone");
    const failing = sourceYielding(3 * MiB, async function* () {
      yield randomBytes(MiB);
      throw mine;
    });
    await bucket.write(key("there"), text("old"));
    for (const name of ["there", "new"]) await assert.rejects(bucket.write(key(name), failing), /disk gone/);
    await holds(bucket, key("there"), "old");
    await isAbsent(bucket, key("new"));
    assert.deepEqual(await keysOf(bucket, prefix), [key("there")]);
  }),

  ...[
    ["source-too-short", 100, 99],
    ["source-too-long", 100, 101],
    ["source-empty-not-said", 1, 0],
    ["big-source-too-short", 20 * MiB, 17 * MiB],
  ].map(([name, said, given]) =>
    bucketCase(
      `${name}`,
      "a size that is not the size means other bytes",
      async ({ bucket, key, prefix }) => {
        const source = sourceYielding(Number(said), () => sourceOf(Buffer.alloc(Number(given))).open());
        await bucket.write(key("there"), text("old"));
        for (const last of ["there", "new"]) {
          await failsWith("integrity", last, () => bucket.write(key(last), source));
        }
        await holds(bucket, key("there"), "old");
        assert.deepEqual(await keysOf(bucket, prefix), [key("there")]);
      },
    ),
  ),

  bucketCase("write-aborted-midway", "Ctrl-C during an upload leaves the old state", async (trial) => {
    const { bucket, key, prefix } = trial;
    await bucket.write(key("x"), text("old"));
    for (const name of ["x", "new"]) {
      const stop = new AbortController();
      const source = sourceYielding(8 * MiB, async function* () {
        for (let n = 0; n < 8; n++) {
          if (n === 2) stop.abort();
          yield Buffer.alloc(MiB);
        }
      });
      await failsWith("aborted", name, () => bucket.write(key(name), source, { signal: stop.signal }));
    }
    await holds(bucket, key("x"), "old");
    assert.deepEqual(await keysOf(bucket, prefix), [key("x")]);
  }),

  bucketCase("odd-chunks", "sources come in chunks of any size, empty ones too", async ({ bucket, key }) => {
    const bytes = randomBytes(300_000);
    const source = sourceYielding(bytes.length, async function* () {
      yield new Uint8Array();
      for (let at = 0, step = 1; at < bytes.length; at += step, step = (step * 7) % 65_537) {
        yield bytes.subarray(at, at + step);
        step = Math.min(step, bytes.length - at);
        yield new Uint8Array();
      }
    });
    await bucket.write(key("x"), source);
    await holds(bucket, key("x"), bytes);
  }),

  bucketCase("sha256-kept", "a checksum that is kept must be the content's", async ({ bucket, key }) => {
    const sha256 = createHash("sha256").update("one").digest("hex");
    await bucket.write(key("x"), text("one"), { sha256 });
    const kept = [(await bucket.head(key("x")))?.sha256, (await entryRead(bucket, key("x")))?.sha256];
    for (const found of kept) assert.ok(found === undefined || found === sha256, `recorded ${found}`);
    await bucket.write(key("x"), text("two"));
    assert.notEqual((await bucket.head(key("x")))?.sha256, sha256, "the old content's checksum on the new");
  }),

  bucketCase("remove", "what was removed is gone, the rest is not", async ({ bucket, key, prefix }) => {
    for (const name of ["a", "b/c", "b/d", "e"]) await bucket.write(key(name), text(name));
    await bucket.remove([key("a"), key("b/c"), key("none"), key("no/such")]);
    await bucket.remove([]);
    await isAbsent(bucket, key("a"));
    assert.deepEqual(await keysOf(bucket, prefix), [key("b/d"), key("e")]);
    await bucket.write(key("a"), text("again"));
    await holds(bucket, key("a"), "again");
  }),

  bucketCase("copy", "a pack is moved to its name without being sent again", async ({ bucket, key }) => {
    const bytes = randomBytes(200_000);
    await bucket.write(key("from"), sourceOf(bytes));
    await bucket.write(key("there"), text("old"));
    for (const name of ["new", "deep/new", "there", "from"]) {
      assert.equal(await bucket.copy(key("from"), key(name)), true);
      await holds(bucket, key(name), bytes);
    }
    await bucket.write(key("from"), text("changed"));
    await holds(bucket, key("new"), bytes);
  }),

  bucketCase(
    "file-source",
    "a staged file may be moved in, another one must be left alone",
    async (trial) => {
      const { bucket, key } = trial;
      const dir = await mkdtemp(join(bucket.stagingDirectory ?? tmpdir(), "git-odb-check-"));
      try {
        for (const disposable of [false, true]) {
          const path = join(dir, `${disposable}`);
          const bytes = randomBytes(150_000);
          await writeFile(path, bytes);
          const source: Source = { ...sourceOf(bytes), file: { path, disposable } };
          const name = key(`disposable-${disposable}`);
          await bucket.write(name, source);
          if (!disposable) {
            assert.ok(existsSync(path), "a file that was not disposable is gone");
            await writeFile(path, "changed by its owner");
          }
          await holds(bucket, name, bytes);
        }
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
      assert.equal((await readAll(bucket, key("disposable-true")))?.length, 150_000);
    },
  ),

  bucketCase(
    "file-source-of-other-size",
    "a staged file that is not what it says is refused",
    async (trial) => {
      const { bucket, key } = trial;
      const dir = await mkdtemp(join(bucket.stagingDirectory ?? tmpdir(), "git-odb-check-"));
      try {
        const path = join(dir, "staged");
        await writeFile(path, "12345");
        const source: Source = {
          ...sourceOf(Buffer.from("12345")),
          size: 6,
          file: { path, disposable: true },
        };
        await failsWith("integrity", "write", () => bucket.write(key("x"), source));
        await isAbsent(bucket, key("x"));
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
    ["staging"],
  ),
];
