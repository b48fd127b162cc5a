/** The bucket: keys and bytes, nothing of git. Everything that stores anything stands on these operations. */

import type { ByteRange, Content, Source } from "../object/content.js";

/** What a bucket knows of a key without reading it. */
export interface Entry {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** Opaque version of the content, for `ifMatch`: changes whenever the bytes do. A listing may leave it out. */
  readonly etag?: string;
  /** When it was last written, by the store's clock. */
  readonly modified?: Date;
  /**
   * SHA-256 of the content in hex, where our own upload recorded it with the object and the backend keeps it
   * (S3 user metadata): what was sent, whatever it was meant to be. `head` and `read` give it, a listing does not.
   */
  readonly sha256?: string;
}

/** What `read` gives: the entry, and the bytes of the range asked for. */
export interface Body {
  readonly entry: Entry;
  readonly content: Content;
}

/** Every operation takes these. */
export interface CallOptions {
  /** Ends the call with an `aborted` error. */
  readonly signal?: AbortSignal;
}

/** Options of {@link Bucket.read}. */
export interface ReadOptions extends CallOptions {
  /** Only these bytes. A start at or past the end gives empty content; an end past it stops at the end. */
  readonly range?: ByteRange;
}

/** Options of {@link Bucket.write}. At most one of the two conditions. */
export interface WriteOptions extends CallOptions {
  /** Write only if the key is absent. */
  readonly ifAbsent?: boolean;
  /** Write only if the key's etag is this one. */
  readonly ifMatch?: string;
  /** SHA-256 of the source in hex, if the caller knows it: kept with the object where the backend can. */
  readonly sha256?: string;
  /** MIME type for readers over HTTP. Default `application/octet-stream`. */
  readonly contentType?: string;
}

/** Options of {@link Bucket.writeStream}. */
export interface StreamOptions extends CallOptions {
  /** In bytes, where the caller knows it beforehand: a backend with parts then makes them large enough. */
  readonly size?: number;
}

/** A lost race is an outcome, not an error. `etag` is absent where a backend gives none. */
export type WriteOutcome = { readonly written: true; readonly etag?: string } | { readonly written: false };

/** Options of {@link Bucket.list}. */
export interface ListOptions extends CallOptions {
  /** Only keys that sort (by UTF-8 bytes) after this one, which need not be there. */
  readonly after?: string;
}

/**
 * Keys and bytes. A key is 1 to 1024 bytes of `/`-separated segments, checked by `checkKey`: it can never leave
 * the bucket. Failures are OdbErrors: `unavailable` (may be tried again), `denied`, `full`, `config` (the
 * bucket itself is not there), `unsupported`, `aborted`. An absent key is never an error.
 */
export interface Bucket {
  /** For messages: the URL without credentials. */
  readonly name: string;

  /** A local folder on the same file system where a caller may stage files for `Source.file`; made if absent. */
  readonly stagingDirectory?: string | undefined;

  /** Whether {@link WriteOptions.sha256} is kept with the object and given back by `head` and `read`. */
  readonly recordsSha256?: boolean;

  /** Whether a write that says {@link WriteOptions.sha256} is refused when other bytes arrive, if the server can. */
  readonly checksSha256?: boolean;

  /** @returns undefined when the key is absent */
  head(key: string, options?: CallOptions): Promise<Entry | undefined>;

  /**
   * @returns undefined when the key is absent. The content must be consumed or returned early (`break` in a
   *   `for await`); it throws `integrity` when the body ends before the size announced.
   */
  read(key: string, options?: ReadOptions): Promise<Body | undefined>;

  /**
   * Writes whole or not at all; durable and visible to the next read when it resolves. Throws `integrity` when
   * the source yields another number of bytes than `source.size`, and leaves what was there.
   *
   * Conditions need {@link conditionalWrites}: without it a conditional write throws `unsupported`.
   */
  write(key: string, source: Source, options?: WriteOptions): Promise<WriteOutcome>;

  /**
   * Writes content whose size is not known beforehand, as it comes, in bounded memory; whole or not at all. It
   * cannot be tried again: the content is there once. Only where the backend can without setting all of it aside.
   *
   * @returns the size
   */
  writeStream?(key: string, content: Content, options?: StreamOptions): Promise<number>;

  /** Removes keys; one that is absent already is no error. */
  remove(keys: readonly string[], options?: CallOptions): Promise<void>;

  /**
   * Every entry whose key starts with `prefix` (a plain string prefix; "" for all), in order of the keys'
   * UTF-8 bytes. Private keys of the bucket (unfinished uploads) are left out.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<Entry>;

  /**
   * Takes away what writes to keys with this prefix have left unfinished and nobody has worked on since `before`: it takes
   * room, and no listing shows it. Only where there can be such a thing. Best effort: what the service does not let us see stays.
   *
   * @returns how many unfinished writes stay because they are younger, as far as they can be seen
   */
  removeUnfinished?(prefix: string, before: Date, options?: CallOptions): Promise<number>;

  /** Copies inside the bucket without the bytes passing through here. @returns false when `from` is absent */
  copy(from: string, to: string, options?: CallOptions): Promise<boolean>;

  /** Whether conditional writes are honoured: found out by behaviour, once a bucket object, then remembered. */
  conditionalWrites(options?: CallOptions): Promise<boolean>;

  /** Where any reader can GET the key over http(s) without credentials, if this bucket has such an address. */
  publicUrl?(key: string): string | undefined;

  /** Makes the bucket itself where that is possible (a folder) and it is not there yet. Everything else needs it. */
  create?(options?: CallOptions): Promise<void>;

  /** Ends connections. Nothing may be called afterwards. */
  close(): Promise<void>;
}
