/** The list of cases is tested itself: for each case there is a store that breaks just that promise. */

import { describe, expect, it } from "vitest";
import { memoryBucket } from "../../src/bucket/memory.js";
import { storeCases } from "../../src/conformance/store-cases.js";
import type { StoreSubject } from "../../src/conformance/store-subject.js";
import { OdbError } from "../../src/errors.js";
import { type Content, collect, contentOf, sourceOf } from "../../src/object/content.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { rawKey, rawStore } from "../../src/store/raw-layout.js";
import type { ObjectStore, StoredObject } from "../../src/store/store.js";

const good = () => rawStore(memoryBucket());

/** A good store with some of its operations replaced. */
function broken(change: (store: ObjectStore) => Partial<ObjectStore>): StoreSubject {
  const store = good();
  return { store: { ...store, ...change(store) }, can: ["sha256"] };
}

/** A store that spoils the content of what it is asked for. */
function spoiling(spoil: (bytes: Buffer, info: ObjectInfo) => Uint8Array): StoreSubject {
  return broken((store) => ({
    async get(oid): Promise<StoredObject | undefined> {
      const found = await store.get(oid);
      if (!found) return undefined;
      return { ...found, content: contentOf(spoil(await collect(found.content, 64 << 20), found.info)) };
    },
  }));
}

const truncating = (above: number) =>
  spoiling((bytes, { size }) => (size === above ? bytes.subarray(0, -1) : bytes));

/** A store whose content, once begun, is under way for ever unless it is read to its end. */
function leaking(limit: number, also: (error: unknown) => boolean = () => true): StoreSubject {
  let open = 0;
  async function* counted(content: Content): Content {
    if (++open > limit) throw new OdbError("unavailable", "too many requests at once");
    let left: unknown = "left";
    try {
      yield* content;
      left = undefined;
    } finally {
      if (left === undefined || !also(left)) open--;
    }
  }
  return broken((store) => ({
    async get(oid) {
      const found = await store.get(oid);
      return found && { ...found, content: counted(found.content) };
    },
  }));
}

/** Corruption goes unnoticed: the store of hashes that were never checked. */
function credulous(): StoreSubject {
  const bucket = memoryBucket();
  const store = rawStore(bucket);
  const size = async (oid: ObjectInfo["oid"]) => (await bucket.head(rawKey(oid)))?.size;
  return {
    store: {
      ...store,
      async put(object) {
        if ((await size(object.info.oid)) !== object.size)
          await bucket.write(rawKey(object.info.oid), object);
      },
      verify: (oid) => store.stat(oid),
    },
    async corrupt(oid) {
      await bucket.write(rawKey(oid), sourceOf(Buffer.alloc((await size(oid)) ?? 0, 7)));
    },
  };
}

const brokenStores: Record<string, () => StoreSubject> = {
  empty: () =>
    broken((store) => ({ get: async (oid) => ((await store.stat(oid))?.size ? store.get(oid) : undefined) })),
  "65516": () => truncating(65516),
  "65517": () => spoiling((bytes) => bytes.subarray(0, 65516)),
  "8MiB-1": () => truncating(8 * 1024 * 1024 - 1),
  "8MiB": () => truncating(8 * 1024 * 1024),
  "8MiB+1": () => spoiling((bytes) => bytes.subarray(0, 8 * 1024 * 1024)),
  "20MiB": () => spoiling((bytes) => bytes.subarray(0, 16 * 1024 * 1024)),
  "absent-is-undefined": () =>
    broken((store) => ({
      async stat(oid) {
        const found = await store.stat(oid);
        if (!found) throw new OdbError("denied", "404");
        return found;
      },
    })),
  "denied-is-not-absent": () => {
    const subject = broken(() => ({}));
    return { ...subject, denied: async () => good() };
  },
  "list-over-1000": () =>
    broken((store) => ({
      async *list() {
        let left = 1000;
        for await (const info of store.list()) if (left-- > 0) yield info;
      },
    })),
  types: () => ({ store: good(), can: ["types"] }),
  "blobs-only": () => {
    const store = good();
    const put: ObjectStore["put"] = (object) =>
      store.put({ ...object, info: { ...object.info, type: "blob" } });
    return { store: { ...store, put }, can: ["blobs"] };
  },
  "sha256-ids": () => ({ store: rawStore(memoryBucket(), { hash: "sha1" }), can: ["sha256"] }),
  "put-twice": () =>
    broken((store) => ({
      async put(object) {
        if (await store.stat(object.info.oid)) throw new OdbError("conflict", "there already");
        await store.put(object);
      },
    })),
  "parallel-put-same-oid": () => {
    const busy = new Set<string>();
    return broken((store) => ({
      async put(object) {
        if (busy.has(object.info.oid)) throw new OdbError("conflict", "being written");
        busy.add(object.info.oid);
        await store.put(object);
        busy.delete(object.info.oid);
      },
    }));
  },
  "wrong-hash-stores-nothing": () => {
    const bucket = memoryBucket();
    return {
      store: rawStore(bucket),
      async put({ oid }, content) {
        await bucket.write(rawKey(oid), sourceOf(await collect(content, 64 << 20)));
      },
    };
  },
  "source-fails-midway": () => {
    const bucket = memoryBucket();
    const store = rawStore(bucket);
    const put: ObjectStore["put"] = async (object) => {
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of object.open()) chunks.push(chunk);
      } finally {
        await bucket.write(rawKey(object.info.oid), sourceOf(Buffer.concat(chunks)));
      }
    };
    return { store: { ...store, put } };
  },
  "corrupt-copy-is-rewritten": credulous,
  "corrupt-get-throws": credulous,
  "reader-returns-early": () => leaking(16),
  "consumer-throws": () => leaking(16),
  "parallel-gets": () => {
    let running = 0;
    return broken((store) => ({
      async get(oid) {
        if (++running > 8) throw new OdbError("unavailable", "too many requests at once");
        await new Promise((resolve) => setTimeout(resolve, 1));
        running--;
        return await store.get(oid);
      },
    }));
  },
  "abort-signal": () => broken((store) => ({ get: (oid) => store.get(oid) })),
};

describe("the store cases", () => {
  it.each(storeCases)("$name fails on a store that breaks it", async ({ name, run }) => {
    const make = brokenStores[name];
    if (make === undefined) throw new Error(`no broken store for ${name}`);
    await expect(run(make())).rejects.toThrow();
  });
});
