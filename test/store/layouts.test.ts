import { describe, it } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { storeCases } from "../../src/conformance/store-cases.js";
import { type StoreSubject, storeAbilities } from "../../src/conformance/store-subject.js";
import { OdbError } from "../../src/errors.js";
import { collect, sourceOf } from "../../src/object/content.js";
import type { ObjectId } from "../../src/object/id.js";
import { looseKey, looseStore } from "../../src/store/loose-layout.js";
import { rawKey, rawStore } from "../../src/store/raw-layout.js";
import type { ObjectStore } from "../../src/store/store.js";
import { tieredStore } from "../../src/store/tiered.js";
import { tempDir } from "../support/temp.js";

type Key = (oid: ObjectId) => string;

/** Changes one byte in the middle of what lies under a key; an object without a byte is left alone. */
async function corrupt(bucket: Bucket, key: string) {
  const body = await bucket.read(key);
  if (!body) throw new Error(`${key} is absent`);
  const bytes = await collect(body.content, 64 << 20);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await bucket.write(key, sourceOf(bytes));
}

/** A bucket whose every read is refused, as one without the right to it is. */
function forbidden(bucket: Bucket): Bucket {
  const refuse = async () => {
    throw new OdbError("denied", `${bucket.name}: 403`);
  };
  return { ...bucket, head: refuse, read: refuse };
}

function subject(
  bucket: Bucket,
  layout: (bucket: Bucket) => ObjectStore,
  key: Key,
  can: StoreSubject["can"],
): StoreSubject {
  return {
    store: layout(bucket),
    can: ["sha256", ...(can ?? [])],
    corrupt: (oid) => corrupt(bucket, key(oid)),
    denied: async () => layout(forbidden(bucket)),
  };
}

const subjects: Record<string, () => StoreSubject> = {
  "raw on memory": () => subject(memoryBucket(), rawStore, rawKey, ["blobs"]),
  "raw on memory that records no checksums": () =>
    subject({ ...memoryBucket(), recordsSha256: false }, rawStore, rawKey, ["blobs"]),
  "loose on memory": () => subject(memoryBucket(), looseStore, looseKey, ["types"]),
  "raw on files": () => subject(fileBucket(tempDir("raw")), rawStore, rawKey, ["blobs"]),
  "loose on files": () => subject(fileBucket(tempDir("loose")), looseStore, looseKey, ["types"]),
  "tiers, put to the first": () => {
    const inTiers = (bucket: Bucket) => tieredStore([looseStore(bucket), rawStore(memoryBucket())], "first");
    return subject(memoryBucket(), inTiers, looseKey, ["types"]);
  },
  "tiers, put to all": () => {
    const second = memoryBucket();
    const inTiers = (bucket: Bucket) => tieredStore([rawStore(bucket), looseStore(second)], "all");
    const { denied: _, ...rest } = subject(memoryBucket(), inTiers, rawKey, ["blobs"]);
    return rest;
  },
};

/** The large objects differ by bucket, not by layout or tier: on files is enough here. */
const large = /MiB/;

describe.each(Object.entries(subjects))("%s", (title, make) => {
  const shared = make();
  for (const one of storeCases) {
    const applies = (one.needs ?? []).every((need) => storeAbilities(shared).includes(need));
    if (large.test(one.name) && !title.endsWith("on files")) continue;
    if (applies) it(one.name, () => one.run(shared));
  }
});
