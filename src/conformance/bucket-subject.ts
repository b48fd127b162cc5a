/** What the bucket cases run on, and what they are written with: keys of their own, bytes, expected failures. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Body, Bucket, Entry } from "../bucket/bucket.js";
import { type ErrorCode, OdbError } from "../errors.js";
import { type ByteRange, type Content, collect, type Source, sourceOf } from "../object/content.js";
import type { ContractCase } from "./contract.js";

/** A bucket under test. It may hold other keys: a case touches only its own and removes them. */
export interface BucketSubject {
  readonly bucket: Bucket;
  /** Another handle on the same data, as another process would have; `bucket` itself where there is none. */
  readonly other?: Bucket;
  /** A bucket of the same kind whose every operation the backend refuses for lack of permission. */
  readonly denied?: Bucket;
}

/** What a case may need: conditional writes or their absence, a bucket that refuses, checksums that are kept. */
export type BucketNeed = "conditional" | "unconditional" | "denied" | "staging";

/** What a subject offers of {@link BucketNeed}: a case with other needs does not apply to it. */
export async function bucketAbilities(subject: BucketSubject): Promise<ReadonlySet<string>> {
  const offered = new Set<BucketNeed>();
  offered.add((await subject.bucket.conditionalWrites()) ? "conditional" : "unconditional");
  if (subject.denied) offered.add("denied");
  if (subject.bucket.stagingDirectory !== undefined) offered.add("staging");
  return offered;
}

/** What a case works with. */
export interface BucketTrial extends BucketSubject {
  /** Begins every key of the case; ends in `/`. */
  readonly prefix: string;
  /** A key of this case's own, removed after it. */
  key(name: string): string;
}

/** Makes a case: `run` gets a prefix of its own in the bucket, and its keys are removed after it. */
export function bucketCase(
  name: string,
  why: string,
  run: (trial: BucketTrial) => Promise<void>,
  needs: readonly BucketNeed[] = [],
): ContractCase<BucketSubject> {
  return {
    name,
    why,
    needs,
    async run(subject) {
      const prefix = `git-odb-check/${name}-${randomBytes(6).toString("hex")}/`;
      const keys = new Set<string>();
      const key = (last: string) => {
        keys.add(prefix + last);
        return prefix + last;
      };
      let passed = false;
      try {
        await run({ ...subject, prefix, key });
        passed = true;
      } finally {
        // What made the case fail is worth more than a failure to clean up after it.
        await subject.bucket.remove([...keys]).catch((error: unknown) => {
          if (passed) throw error;
        });
      }
    },
  };
}

/** Text as a source. */
export function text(value: string): Source {
  return sourceOf(Buffer.from(value));
}

/** Reads a key whole. */
export async function readAll(bucket: Bucket, key: string, range?: ByteRange): Promise<Buffer | undefined> {
  const body = await bucket.read(key, range === undefined ? {} : { range });
  return body && collect(body.content, 64 << 20);
}

/** The entry that `read` gives; its content is taken up and left. */
export async function entryRead(bucket: Bucket, key: string): Promise<Entry | undefined> {
  const body = await bucket.read(key);
  if (body) await firstChunk(body);
  return body?.entry;
}

/** Fails unless the key holds exactly these bytes, by `head` and by `read`. */
export async function holds(bucket: Bucket, key: string, expected: string | Uint8Array): Promise<void> {
  const bytes = Buffer.from(expected);
  const found = await readAll(bucket, key);
  assert.ok(found, `${key}: nothing to read, ${bytes.length} bytes expected`);
  assert.equal(found.length, bytes.length, `${key}: size of what was read`);
  assert.ok(found.equals(bytes), `${key}: the bytes read are not those written`);
  assert.equal((await bucket.head(key))?.size, bytes.length, `${key}: size by head`);
}

/** Fails unless the key is absent, by `head` and by `read`. */
export async function isAbsent(bucket: Bucket, key: string): Promise<void> {
  assert.equal(await bucket.head(key), undefined, `${key}: head of an absent key`);
  assert.equal(await bucket.read(key), undefined, `${key}: read of an absent key`);
}

/** Fails unless the call fails, with an OdbError of this code and one line of message. */
export async function failsWith(code: ErrorCode, what: string, call: () => Promise<unknown>): Promise<void> {
  const error: unknown = await call().then(
    () => assert.fail(`${what}: expected the failure "${code}", but it succeeded`),
    (failure: unknown) => failure,
  );
  if (error instanceof assert.AssertionError) throw error;
  assert.ok(error instanceof OdbError, `${what}: expected an OdbError, got ${String(error)}`);
  assert.equal(error.code, code, `${what}: ${error.message}`);
  assert.ok(!/[\r\n]/.test(error.message), `${what}: the message is more than one line`);
}

/** The keys of a listing, in the order given. */
export async function keysOf(bucket: Bucket, prefix: string, after?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const entry of bucket.list(prefix, after === undefined ? {} : { after })) keys.push(entry.key);
  return keys;
}

/** Takes the first chunk and returns the rest unread: what a consumer that has seen enough does. */
export async function firstChunk(body: Body | undefined): Promise<Uint8Array> {
  assert.ok(body, "nothing to read");
  for await (const chunk of body.content) return chunk;
  return new Uint8Array();
}

/** A source that says one size and yields what `chunks` does. */
export function sourceYielding(size: number, chunks: () => Content): Source {
  return { size, open: chunks };
}
