/** The object store: git objects by id, whatever they lie in. */

import type { CallOptions } from "../bucket/bucket.js";
import type { OdbError } from "../errors.js";
import type { Content, SourceObject } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";

/**
 * An object on its way out, in the encoding it is stored in, so that nothing is inflated and deflated again
 * without need. It is NOT verified yet: `asRaw` and `asLoose` (encoding.ts) verify while they pass it on.
 */
export interface StoredObject {
  readonly info: ObjectInfo;
  /** `raw`: the content itself; `loose`: git's zlib form of it. */
  readonly encoding: "raw" | "loose";
  /** Must be consumed, or begun and left (`break` in a `for await`): a file or a connection waits behind it. */
  readonly content: Content;
}

/** What a caller has itself of an object: enough to know it by a checksum that the store recorded. */
export interface OwnCopy {
  /** In bytes. */
  readonly size: number;
  /**
   * SHA-256 in hex of the content, computed when it is asked for: when there is one to compare it with.
   *
   * @returns undefined when the copy proves not to be the object
   */
  sha256(): Promise<string | undefined>;
}

/** Options of {@link ObjectStore.verify}. */
export interface VerifyOptions extends CallOptions {
  /** The object as the caller has it. */
  readonly own?: OwnCopy | undefined;
}

/** Options of {@link ObjectStore.list}. */
export interface StoreListOptions extends CallOptions {
  /** Leave out what lies in packs: then of a repository in a bucket only the objects of their own. Default false. */
  readonly unpacked?: boolean;
  /** Told of an object that is left out of the list because it is broken. */
  readonly onBad?: (oid: ObjectId, error: OdbError) => void;
}

/** Git objects by id. Absent is `undefined`; failures are OdbErrors as of Bucket, and `integrity`. */
export interface ObjectStore {
  /** For messages: the URL without credentials. */
  readonly name: string;

  /** The stores that it is made of, if it is several: what has to be looked at one by one, each copy of an object. */
  readonly tiers?: readonly ObjectStore[];

  /** Where a caller may stage an object so that `put` need not copy it again (see Bucket). */
  readonly stagingDirectory?: string | undefined;

  /** Whether `put` needs {@link SourceObject.sha256}, to be recorded with the object or checked on arrival. */
  readonly takesSha256?: boolean;

  /** Whether it is there, and its size and type; cheap, the content is not read whole. */
  stat(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined>;

  get(oid: ObjectId, options?: CallOptions): Promise<StoredObject | undefined>;

  /**
   * Durable, visible and the right bytes when it resolves; idempotent. What lies there already under this id is
   * accepted only if it is proved (size and recorded checksum, else read and hashed), else rewritten.
   */
  put(object: SourceObject, options?: CallOptions): Promise<void>;

  /**
   * Proves that the store's copy is the object, at this moment: where the caller has the object, too, by the size and the
   * checksum that the backend keeps of what was uploaded, if both are those of its copy; else by reading and hashing it.
   * A recorded checksum by itself says what was sent once, not that it was this object.
   *
   * @returns its info, or undefined when absent
   * @throws OdbError integrity, when other bytes lie under this id
   */
  verify(oid: ObjectId, options?: VerifyOptions): Promise<ObjectInfo | undefined>;

  /**
   * Every object, each once, in no promised order.
   *
   * @throws OdbError integrity, for an object whose size and type cannot be read, unless `onBad` takes it
   */
  list(options?: StoreListOptions): AsyncIterable<ObjectInfo>;

  /** Ends connections. Nothing may be called afterwards. */
  close(): Promise<void>;
}
