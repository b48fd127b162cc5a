/** Several stores in order as one: reads come from the first that has the object, puts go to the first or to all. */

import { OdbError } from "../errors.js";
import type { SourceObject } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import type { ObjectStore } from "./store.js";

/** To which stores a put goes, and so where an object must be to count as stored. */
export type WritePolicy = "first" | "all";

/**
 * The stores as one; closing it closes them all.
 *
 * - `get` asks in order and goes on to the next store when one has not got the object or fails before it gave a
 *   byte. Once content is handed out it comes from that store to its end.
 * - `put` succeeds when every store of the policy has it.
 * - `stat`, `verify` and `list` speak of objects that count as stored: with `first`, those that any store has;
 *   with `all`, only those that every store has.
 * - Absent is said only when every store that was asked answered: else its failure is thrown.
 *
 * @throws OdbError config, without a store
 */
export function tieredStore(stores: readonly ObjectStore[], write: WritePolicy = "first"): ObjectStore {
  const [first] = stores;
  if (first === undefined) throw new OdbError("config", "a store needs at least one URL");
  const local = () => (write === "first" ? [first] : stores).find((store) => store.stagingDirectory);
  const ask: Ask = write === "first" ? firstOf : inAll;
  return {
    name: stores.map((store) => store.name).join(", "),
    tiers: stores,
    takesSha256: stores.some((store) => store.takesSha256),
    get stagingDirectory() {
      return local()?.stagingDirectory;
    },
    stat: (oid, options) => ask(stores, (store) => store.stat(oid, options)),
    get: (oid, options) => firstOf(stores, (store) => store.get(oid, options)),
    verify: (oid, options) => ask(stores, (store) => store.verify(oid, options)),
    async put(object, options) {
      if (write === "first") return await first.put(object, options);
      // The store that may take the staged file away comes last.
      const last = local();
      for (const store of stores) if (store !== last) await store.put(keepingFile(object), options);
      await last?.put(object, options);
    },
    list: (options) => (write === "first" ? union : intersection)(stores.map((store) => store.list(options))),
    close: () => closeAll(stores),
  };
}

type Ask = <T>(
  stores: readonly ObjectStore[],
  question: (store: ObjectStore) => Promise<T | undefined>,
) => Promise<T | undefined>;

/** The first answer there is; a failure counts only if no other store has one. */
const firstOf: Ask = async (stores, question) => {
  const failures: unknown[] = [];
  for (const store of stores) {
    try {
      const answer = await question(store);
      if (answer !== undefined) return answer;
    } catch (error) {
      if (error instanceof OdbError && error.code === "aborted") throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return undefined;
};

/** The first store's answer if every store has one. */
const inAll: Ask = async (stores, question) => {
  const answers = await Promise.all(stores.map(question));
  return answers.includes(undefined) ? undefined : answers[0];
};

function keepingFile(object: SourceObject): SourceObject {
  const { file, ...rest } = object;
  return file === undefined ? object : { ...rest, file: { path: file.path, disposable: false } };
}

async function* union(lists: readonly AsyncIterable<ObjectInfo>[]): AsyncIterable<ObjectInfo> {
  const seen = new Set<ObjectId>();
  for (const list of lists) {
    for await (const info of list) {
      if (seen.has(info.oid)) continue;
      seen.add(info.oid);
      yield info;
    }
  }
}

async function* intersection(lists: readonly AsyncIterable<ObjectInfo>[]): AsyncIterable<ObjectInfo> {
  const [first, ...others] = lists;
  if (first === undefined) return;
  const sets = await Promise.all(others.map(idsOf));
  for await (const info of first) if (sets.every((set) => set.has(info.oid))) yield info;
}

async function idsOf(list: AsyncIterable<ObjectInfo>): Promise<Set<ObjectId>> {
  const ids = new Set<ObjectId>();
  for await (const { oid } of list) ids.add(oid);
  return ids;
}

async function closeAll(stores: readonly ObjectStore[]): Promise<void> {
  const results = await Promise.allSettled(stores.map((store) => store.close()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
