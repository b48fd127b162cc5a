/** Reading from an object store: what must hold when bytes, readers or callers are not as they should be. */

import assert from "node:assert/strict";
import { collect } from "../object/content.js";
import { asLoose, asRaw } from "../store/encoding.js";
import type { ContractCase } from "./contract.js";
import {
  assertFails,
  assertHolds,
  listAll,
  putNew,
  read,
  type StoreSubject,
  sample,
  stored,
} from "./store-subject.js";

const MiB = 1024 * 1024;

/** `get`, `verify`, and the end of any call by its signal. */
export const reads: readonly ContractCase<StoreSubject>[] = [
  {
    name: "corrupt-get-throws",
    needs: ["corrupt"],
    why: "git keeps a corrupt object that a helper called a success",
    async run(subject) {
      for (const size of [100, 400_000]) {
        const { info } = await putNew(subject, size);
        await subject.corrupt?.(info.oid);
        const { store } = subject;
        await assertFails(read(store, info.oid), "integrity", "get, raw");
        const loose = async () => await collect(asLoose(await stored(store, info.oid)), 64 * MiB);
        await assertFails(loose(), "integrity", "get, loose");
        await assertFails(store.verify(info.oid), "integrity", "verify");
      }
    },
  },
  {
    name: "reader-returns-early",
    why: "a git that has gone away must not use up connections and files",
    async run(subject) {
      const object = await putNew(subject, 3 * MiB);
      for (let again = 0; again < 40; again++) {
        for await (const _ of asRaw(await stored(subject.store, object.info.oid))) break;
      }
      await assertHolds(subject.store, object);
    },
  },
  {
    name: "consumer-throws",
    why: "a failure behind the store is neither hidden nor blamed on it",
    async run(subject) {
      const object = await putNew(subject, 3 * MiB);
      const consume = async () => {
        for await (const _ of asRaw(await stored(subject.store, object.info.oid)))
          throw new Error("consumer");
      };
      for (let again = 0; again < 20; again++) await assert.rejects(consume(), /^Error: consumer$/);
      await assertHolds(subject.store, object);
    },
  },
  {
    name: "parallel-gets",
    why: "a checkout reads many objects at once",
    async run(subject) {
      const objects = await Promise.all([0, 1, 70_000, MiB].map((size) => putNew(subject, size)));
      const wanted = Array.from({ length: 10 }, () => objects).flat();
      await Promise.all(
        wanted.map(async ({ info, bytes }) => assert.ok(bytes.equals(await read(subject.store, info.oid)))),
      );
    },
  },
  {
    name: "abort-signal",
    why: "^C ends a transfer now, not when it is done",
    async run(subject) {
      const { store } = subject;
      const object = await putNew(subject, 12 * MiB);
      const { oid } = object.info;
      const gone = { signal: AbortSignal.abort() };
      await assertFails(store.stat(oid, gone), "aborted", "stat");
      await assertFails(read(store, oid, gone), "aborted", "get");
      await assertFails(store.put(sample(100, subject.hash), gone), "aborted", "put");
      await assertFails(listAll(subject, gone), "aborted", "list");
      const control = new AbortController();
      const midway = async () => {
        for await (const _ of (await stored(store, oid, { signal: control.signal })).content) control.abort();
      };
      await assertFails(midway(), "aborted", "get, in the middle");
      await assertHolds(store, object);
    },
  },
];
