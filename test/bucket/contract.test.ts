import { chmodSync } from "node:fs";
import { afterAll } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { httpBucket } from "../../src/bucket/http.js";
import { withLimit } from "../../src/bucket/limit.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { withRetry } from "../../src/bucket/retry.js";
import { OdbError } from "../../src/errors.js";
import { type Content, sourceOf } from "../../src/object/content.js";
import { serveBucket } from "../../src/serve/server.js";
import { testBucket } from "../support/bucket-contract.js";
import { tempDir } from "../support/temp.js";

testBucket("memory", () => ({ bucket: memoryBucket() }), ["unconditional", "denied", "staging"]);

const plain = ["unconditional", "denied", "staging"];
testBucket("limit round memory", () => ({ bucket: withLimit(memoryBucket(), 2) }), plain);
testBucket("retry round memory", () => ({ bucket: withRetry(memoryBucket()) }), plain);
testBucket(
  "retry round limit round a memory that fails now and then",
  () => {
    const bucket = withRetry(withLimit(failingNowAndThen(memoryBucket()), 3), { attempts: 20, baseMs: 0 });
    return { bucket };
  },
  plain,
);

testBucket("file", () => {
  const dir = tempDir("bucket");
  return { bucket: fileBucket(dir), other: fileBucket(dir), denied: lockedOut() };
});

testBucket("http, from our server over a folder", () => servedBucket(""), ["unconditional", "staging"]);

testBucket("http, a folder of our server", () => servedBucket("/media/büro"), ["unconditional", "staging"]);

/** The folder `at` of a server: beside it lie keys that are not its own. */
async function servedBucket(at: string) {
  const token = { username: "me", password: "open sesame" };
  const served = fileBucket(tempDir("served"));
  if (at !== "") await served.write("media/beside", sourceOf(Buffer.from("beside")));
  const server = await serveBucket(served, {
    allowDelete: true,
    credentials: [{ kind: "basic", ...token }],
  });
  const credentials = { fill: async () => token, approve: async () => {}, reject: async () => {} };
  const url = server.url + at;
  const [bucket, other] = [httpBucket(url, { credentials }), httpBucket(url, { credentials })];
  const denied = httpBucket(url);
  afterAll(async () => {
    for (const each of [bucket, other, denied]) await each.close();
    await server.close();
  });
  return { bucket, other, denied };
}

/**
 * Every fifth call fails before it does anything, every third body breaks in its first chunk. A short one does not: another
 * version may be there when it is read again, and that is rightly a failure. */
function failingNowAndThen(bucket: Bucket): Bucket {
  let calls = 0;
  const fails = () => {
    if (++calls % 5 === 0) throw new OdbError("unavailable", "now and then");
  };
  const passing = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      fails();
      return call(...args);
    };
  };
  return {
    ...bucket,
    head: passing(bucket.head),
    remove: passing(bucket.remove),
    copy: passing(bucket.copy),
    async write(key, source, options) {
      // A conditional write that failed in doubt is not tried again: the contract holds for the others.
      if (!options?.ifAbsent && options?.ifMatch === undefined) fails();
      return bucket.write(key, source, options);
    },
    async read(key, options) {
      fails();
      const body = await bucket.read(key, options);
      return (
        body && {
          entry: body.entry,
          content: body.entry.size > 100 && ++calls % 3 === 0 ? broken(body.content) : body.content,
        }
      );
    },
    async *list(prefix, options) {
      for await (const entry of bucket.list(prefix, options)) {
        fails();
        yield entry;
      }
    },
  };
}

async function* broken(content: Content): Content {
  for await (const chunk of content) {
    yield chunk.subarray(0, chunk.length >> 1);
    throw new OdbError("unavailable", "the body broke");
  }
}

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
