/** The contract of an object store, case by case: what git relies on when a helper stands on it. */

import assert from "node:assert/strict";
import type { Content } from "../object/content.js";
import type { ObjectInfo } from "../object/info.js";
import type { ContractCase } from "./contract.js";
import { reads } from "./store-read-cases.js";
import {
  assertFails,
  assertHolds,
  assertLacks,
  listAll,
  putSample,
  read,
  type Sample,
  type StoreSubject,
  sample,
  sampleOf,
} from "./store-subject.js";

type StoreCase = ContractCase<StoreSubject>;

const MiB = 1024 * 1024;

const sizes: readonly (readonly [string, number])[] = [
  ["empty", 0],
  ["65516", 65516],
  ["65517", 65517],
  ["8MiB-1", 8 * MiB - 1],
  ["8MiB", 8 * MiB],
  ["8MiB+1", 8 * MiB + 1],
  ["20MiB", 20 * MiB],
];

const roundTrips: readonly StoreCase[] = sizes.map(([name, size]) => ({
  name,
  why: "an object comes back byte for byte, whatever its size",
  async run(subject) {
    const object = sample(size, subject.hash);
    await putSample(subject, object);
    await assertHolds(subject.store, object);
  },
}));

const answers: readonly StoreCase[] = [
  {
    name: "absent-is-undefined",
    why: "git asks the next ODB only when this one says that it has not got the object",
    run: ({ store, hash }) => assertLacks(store, sample(20, hash).info.oid),
  },
  {
    name: "denied-is-not-absent",
    needs: ["denied"],
    why: "an object that is there and cannot be read must not be taken for lost",
    async run(subject) {
      const object = sample(100, subject.hash);
      await putSample(subject, object);
      const store = await subject.denied?.();
      assert.ok(store);
      await assertFails(store.stat(object.info.oid), "denied", "stat");
      await assertFails(read(store, object.info.oid), "denied", "get");
      await assertFails(store.verify(object.info.oid), "denied", "verify");
      await store.close();
    },
  },
  {
    name: "list-over-1000",
    why: "have is built from listings, and S3 gives a thousand keys a page",
    async run(subject) {
      const objects = Array.from({ length: 1010 }, (_, i) => sample(20 + (i % 50), subject.hash));
      await inBatches(objects, 32, (object) => subject.store.put(object));
      const listed = await listAll(subject);
      for (const { info } of objects) assert.deepEqual(listed.get(info.oid), info);
    },
  },
  {
    name: "types",
    needs: ["types"],
    why: "a mirror keeps trees and commits in the same place",
    async run(subject) {
      for (const type of ["commit", "tree", "tag"] as const) {
        const object = sampleOf(type, sample(300).bytes, subject.hash);
        await putSample(subject, object);
        await assertHolds(subject.store, object);
      }
    },
  },
  {
    name: "blobs-only",
    needs: ["blobs"],
    why: "what a store cannot tell from a blob it must refuse",
    async run(subject) {
      const tree = sampleOf("tree", sample(300).bytes, subject.hash);
      await assertFails(putSample(subject, tree), "unsupported", "put of a tree");
      await assertLacks(subject.store, tree.info.oid);
    },
  },
  {
    name: "sha256-ids",
    needs: ["sha256"],
    why: "repositories with extensions.objectFormat=sha256",
    async run(subject) {
      const object = sample(70_000, "sha256");
      await putSample(subject, object);
      await assertHolds(subject.store, object);
      assert.deepEqual((await listAll(subject)).get(object.info.oid), object.info);
    },
  },
];

const puts: readonly StoreCase[] = [
  {
    name: "put-twice",
    why: "git offers the same blob again and again",
    async run(subject) {
      for (const size of [100, 300_000]) {
        const object = sample(size, subject.hash);
        for (let again = 0; again < 2; again++) await putSample(subject, object);
        await assertHolds(subject.store, object);
        await assertListedOnce(subject, object.info);
      }
    },
  },
  {
    name: "parallel-put-same-oid",
    why: "two gits add the same file at the same time",
    async run(subject) {
      for (const size of [100, 3 * MiB]) {
        const object = sample(size, subject.hash);
        await Promise.all(Array.from({ length: 6 }, () => putSample(subject, object)));
        await assertHolds(subject.store, object);
        await assertListedOnce(subject, object.info);
      }
    },
  },
  {
    name: "wrong-hash-stores-nothing",
    why: "git keeps what a helper gives it: wrong bytes must not get in",
    async run(subject) {
      for (const size of [100, 3 * MiB]) {
        const object = sample(size, subject.hash);
        const wrong = { ...object, bytes: sample(size).bytes };
        await assertFails(putSample(subject, wrong), "integrity", "put of other bytes");
        const short = { ...object, bytes: object.bytes.subarray(1) };
        await assertFails(putSample(subject, short), "integrity", "put of too few bytes");
        await assertLacks(subject.store, object.info.oid);
      }
    },
  },
  {
    name: "source-fails-midway",
    why: "a put is whole or not at all",
    async run(subject) {
      for (const size of [100, 3 * MiB]) {
        const object = sample(size, subject.hash);
        const failing = { ...object, open: () => half(object, new Error("source failed")) };
        await assert.rejects(subject.store.put(failing), /source failed/);
        await assertLacks(subject.store, object.info.oid);
        await assert.rejects(subject.store.put({ ...object, open: () => half(object) }), "a short source");
        await assertLacks(subject.store, object.info.oid);
        await putSample(subject, object);
        await assertHolds(subject.store, object);
      }
    },
  },
  {
    name: "corrupt-copy-is-rewritten",
    needs: ["corrupt"],
    why: "git drops its own copy after a put: what lies there must be proved, not trusted",
    async run(subject) {
      for (const size of [100, 400_000]) {
        const object = sample(size, subject.hash);
        await putSample(subject, object);
        await subject.corrupt?.(object.info.oid);
        await putSample(subject, object);
        await assertHolds(subject.store, object);
      }
    },
  },
];

/** Every case, in the order of a report. */
export const storeCases: readonly StoreCase[] = [...roundTrips, ...answers, ...puts, ...reads];

async function* half(object: Sample, error?: Error): Content {
  yield object.bytes.subarray(0, object.size >> 1);
  if (error !== undefined) throw error;
}

async function assertListedOnce(subject: StoreSubject, info: ObjectInfo): Promise<void> {
  assert.deepEqual((await listAll(subject)).get(info.oid), info, "list");
}

async function inBatches<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>) {
  for (let at = 0; at < items.length; at += width) await Promise.all(items.slice(at, at + width).map(work));
}
