/** What the embedded S3 server holds: buckets of objects and of unfinished uploads, and the index of sorted keys. */

import { randomUUID } from "node:crypto";
import { BlobStore } from "./blobs.js";
import { type Faults, S3Error, type StoredObject, type Upload } from "./types.js";

/** One bucket. Its methods are synchronous: between a condition and the change nothing else can run. */
export class BucketState {
  readonly uploads = new Map<string, Upload>();
  readonly #objects = new Map<string, StoredObject>();
  readonly #blobs: BlobStore;
  #sorted: readonly string[] | undefined;
  #listed: readonly StoredObject[] | undefined;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  get(key: string): StoredObject | undefined {
    return this.#objects.get(key);
  }

  /** Takes over the object's references. */
  set(object: StoredObject): void {
    const old = this.#objects.get(object.key);
    this.#objects.set(object.key, object);
    this.#listed = undefined;
    if (old) this.#blobs.release(old.parts);
    else this.#sorted = undefined;
  }

  delete(key: string): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    this.#blobs.release(old.parts);
    this.#sorted = undefined;
    this.#listed = undefined;
  }

  /** The objects as a listing shows them: in order of the keys' UTF-8 bytes, not changed by what comes later. */
  snapshot(): readonly StoredObject[] {
    this.#sorted ??= [...this.#objects.keys()]
      .map((key) => Buffer.from(key))
      .sort(Buffer.compare)
      .map((bytes) => bytes.toString());
    this.#listed ??= this.#sorted.flatMap((key) => this.#objects.get(key) ?? []);
    return this.#listed;
  }

  /** Ends an upload; `kept` are the parts that an object has taken over. */
  dropUpload(id: string, kept: ReadonlySet<unknown> = new Set()): void {
    const upload = this.uploads.get(id);
    this.uploads.delete(id);
    for (const part of upload?.parts.values() ?? [])
      if (!kept.has(part.blob)) this.#blobs.release([part.blob]);
  }
}

/** The whole server's state. */
export class ServerState {
  readonly blobs: BlobStore;
  faults: Faults = {};
  readonly #buckets = new Map<string, BucketState>();
  readonly #stale = new Map<BucketState, readonly StoredObject[]>();

  constructor(directory: string) {
    this.blobs = new BlobStore(directory);
  }

  /** @throws S3Error NoSuchBucket */
  bucket(name: string): BucketState {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw new S3Error(404, "NoSuchBucket", "The specified bucket does not exist");
    return bucket;
  }

  createBucket(name: string): void {
    if (this.#buckets.has(name)) throw new S3Error(409, "BucketAlreadyOwnedByYou");
    this.#buckets.set(name, new BucketState(this.blobs));
  }

  setFaults(faults: Faults): void {
    this.faults = faults;
    this.#stale.clear();
    if (!faults.staleListing) return;
    for (const bucket of this.#buckets.values()) this.#stale.set(bucket, bucket.snapshot());
  }

  /** What a listing of the bucket shows now. */
  listed(bucket: BucketState): readonly StoredObject[] {
    return this.#stale.get(bucket) ?? bucket.snapshot();
  }

  now(): number {
    return Date.now() + (this.faults.clockSkewMs ?? 0);
  }
}

/** A new unfinished upload. */
export function newUpload(key: string, headers: Upload["headers"], initiated: Date): Upload {
  return { id: randomUUID().replaceAll("-", ""), key, headers, initiated, parts: new Map() };
}
