import { chmodSync } from "node:fs";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { testBucket } from "../support/bucket-contract.js";
import { tempDir } from "../support/temp.js";

testBucket("memory", () => ({ bucket: memoryBucket() }), ["unconditional", "denied", "staging"]);

testBucket("file", () => {
  const dir = tempDir("bucket");
  return { bucket: fileBucket(dir), other: fileBucket(dir), denied: lockedOut() };
});

/** A folder that we may look into but not at its parts: as nobody, if the tests run as root. */
function lockedOut(): Bucket {
  const dir = tempDir("locked");
  chmodSync(dir, 0o000);
  const bucket = fileBucket(dir);
  if (process.geteuid?.() !== 0) return bucket;
  const asNobody = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      process.seteuid?.(65534);
      try {
        return await call(...args);
      } finally {
        process.seteuid?.(0);
      }
    };
  };
  return {
    ...bucket,
    head: asNobody(bucket.head),
    read: asNobody(bucket.read),
    write: asNobody(bucket.write),
    remove: asNobody(bucket.remove),
    async *list(prefix, options) {
      const entries = bucket.list(prefix, options)[Symbol.asyncIterator]();
      const next = asNobody(() => entries.next());
      for (let step = await next(); !step.done; step = await next()) yield step.value;
    },
  };
}
