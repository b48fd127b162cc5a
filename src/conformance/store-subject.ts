/** What the store cases are run on, and the objects that they put. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { inflateSync } from "node:zlib";
import type { CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Content, collect, hashObject, type SourceObject, sourceOf } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { ObjectInfo, ObjectType } from "../object/info.js";
import { asLoose, asRaw } from "../store/encoding.js";
import { putContent } from "../store/stage.js";
import type { ObjectStore } from "../store/store.js";

/**
 * A store under test. The cases put objects with random content and leave them there: give them a place of
 * their own and clear it afterwards.
 */
export interface StoreSubject {
  readonly store: ObjectStore;
  /** The algorithm of the ids that it takes. Default sha1. */
  readonly hash?: HashAlgorithm;
  /** `sha256`: takes SHA-256 ids beside its own. `types`: takes trees, commits and tags, `blobs`: refuses them. */
  readonly can?: readonly ("sha256" | "types" | "blobs")[];
  /** Changes the stored bytes of an object, behind the store's back. Enables the cases that need `corrupt`. */
  corrupt?(oid: ObjectId): Promise<void>;
  /** The same place without the right to read it. Enables the cases that need `denied`. */
  denied?(): Promise<ObjectStore>;
  /** How content that nobody has verified is put. Default {@link putContent}. */
  put?(info: ObjectInfo, content: Content, options?: CallOptions): Promise<void>;
}

/** What a subject can do, in the words of `ContractCase.needs`. */
export function storeAbilities(subject: StoreSubject): string[] {
  return [
    ...(subject.can ?? []),
    ...(subject.corrupt === undefined ? [] : ["corrupt"]),
    ...(subject.denied === undefined ? [] : ["denied"]),
  ];
}

/** An object with its bytes at hand. */
export interface Sample extends SourceObject {
  readonly bytes: Buffer;
}

/** A blob of random bytes that no store has seen. */
export function sample(size: number, hash: HashAlgorithm = "sha1"): Sample {
  return sampleOf("blob", randomBytes(size), hash);
}

/** These bytes as an object. */
export function sampleOf(type: ObjectType, bytes: Buffer, hash: HashAlgorithm = "sha1"): Sample {
  const info = { oid: hashObject(type, bytes, hash), size: bytes.length, type };
  return { ...sourceOf(bytes), info, bytes };
}

/** Puts as a caller with a stream does. */
export async function putSample(
  subject: StoreSubject,
  { info, bytes }: Sample,
  options: CallOptions = {},
): Promise<void> {
  const put = subject.put ?? ((...args) => putContent(subject.store, ...args));
  await put(info, chunked(bytes), options);
}

/** Asserts that the store has exactly this object, in every way of asking. */
export async function assertHolds(store: ObjectStore, { info, bytes }: Sample): Promise<void> {
  assert.deepEqual(await store.stat(info.oid), info, "stat");
  assert.deepEqual(await store.verify(info.oid), info, "verify");
  assert.ok(bytes.equals(await read(store, info.oid)), "the raw content differs");
  const loose = inflateSync(await collect(asLoose(await stored(store, info.oid)), 2 * bytes.length + 1024));
  const header = Buffer.from(`${info.type} ${info.size}\0`);
  assert.ok(loose.subarray(0, header.length).equals(header), "the loose header differs");
  assert.ok(loose.subarray(header.length).equals(bytes), "the loose content differs");
}

/** Asserts that the store says plainly that it has no such object. */
export async function assertLacks(store: ObjectStore, oid: ObjectId): Promise<void> {
  assert.equal(await store.stat(oid), undefined, "stat");
  assert.equal(await store.get(oid), undefined, "get");
  assert.equal(await store.verify(oid), undefined, "verify");
}

/** Asserts that it fails as an OdbError of this code. */
export async function assertFails(promise: Promise<unknown>, code: OdbError["code"], what: string) {
  const outcome = await promise.then(
    () => "it succeeded",
    (error: unknown) => (error instanceof OdbError ? error.code : `it threw ${error}`),
  );
  assert.equal(outcome, code, what);
}

/** The raw content, verified. */
export async function read(store: ObjectStore, oid: ObjectId, options?: CallOptions): Promise<Buffer> {
  return await collect(asRaw(await stored(store, oid, options)), 64 * 1024 * 1024);
}

/** What `get` gives. */
export async function stored(store: ObjectStore, oid: ObjectId, options?: CallOptions) {
  const found = await store.get(oid, options);
  assert.ok(found, `get ${oid}: absent`);
  return found;
}

/** As git sends it. */
async function* chunked(bytes: Uint8Array): Content {
  for (let at = 0; at < bytes.length; at += 65516) yield bytes.subarray(at, at + 65516);
}

/** Puts random bytes. @param size of them */
export async function putNew(subject: StoreSubject, size: number): Promise<Sample> {
  const object = sample(size, subject.hash);
  await putSample(subject, object);
  return object;
}

/** Every listed object; one listed twice fails. */
export async function listAll({ store }: StoreSubject, options?: { signal: AbortSignal }) {
  const found = new Map<string, ObjectInfo>();
  for await (const info of store.list(options)) {
    assert.ok(!found.has(info.oid), `list names ${info.oid} twice`);
    found.set(info.oid, info);
  }
  return found;
}
