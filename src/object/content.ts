/** Streams of bytes between layers, and the check that they are the object they claim to be. */

import { createHash, type Hash, hash } from "node:crypto";
import { OdbError } from "../errors.js";
import { algorithmOf, type HashAlgorithm, type ObjectId, parseObjectId } from "./id.js";
import type { ObjectInfo, ObjectType } from "./info.js";

/**
 * Bytes in order, in chunks of any size (empty ones too), consumed at most once. A chunk belongs to the
 * consumer until it asks for the next one; a producer may reuse the memory after that only if it says so.
 */
export type Content = AsyncIterable<Uint8Array>;

/** A half-open range of bytes: `start` inclusive, `end` exclusive (to the end when left out). */
export interface ByteRange {
  start: number;
  end?: number;
}

/** Content of known size that can be opened again, whole or in part: what retries and multipart uploads need. */
export interface Source {
  /** In bytes. */
  readonly size: number;
  /** A new stream each time; `range` is within the size. */
  open(range?: ByteRange): Content;
  /**
   * The file that holds exactly these bytes, where there is one. `disposable`: a private temporary file that
   * the receiver may link or rename into place instead of copying it; who made it still removes it if left.
   */
  readonly file?: { readonly path: string; readonly disposable: boolean };
}

/** A {@link Source} known to hash to `info.oid`: made by staging or by reading a verified store, never by hand. */
export interface SourceObject extends Source {
  readonly info: ObjectInfo;
  /** SHA-256 of the content in hex, where it was computed in the same pass (see `stagingFor`). */
  readonly sha256?: string;
}

/** Bytes in memory as a {@link Source}. */
export function sourceOf(bytes: Uint8Array): Source {
  return {
    size: bytes.length,
    open: ({ start = 0, end = bytes.length } = { start: 0 }) => contentOf(bytes.subarray(start, end)),
  };
}

/** Bytes in memory as {@link Content}: one chunk, or none when empty. */
export async function* contentOf(...chunks: Uint8Array[]): Content {
  for (const chunk of chunks) if (chunk.length > 0) yield chunk;
}

/**
 * Gathers content in memory.
 *
 * @param limit in bytes: never more is held
 * @throws OdbError invalid, as soon as more than `limit` arrive
 */
export async function collect(content: Content, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (size > limit)
      throw new OdbError("invalid", `more than ${limit} bytes, which is the most accepted here`);
    chunks.push(chunk);
  }
  return chunks.length === 1 && Buffer.isBuffer(chunks[0]) ? chunks[0] : Buffer.concat(chunks, size);
}

/** A running git object hash: the header is already in it. */
export function objectHash(algorithm: HashAlgorithm, type: ObjectType, size: number): Hash {
  return createHash(algorithm).update(`${type} ${size}\0`);
}

/** The id of an object whose content is in memory. */
export function hashObject(
  type: ObjectType,
  content: Uint8Array,
  algorithm: HashAlgorithm = "sha1",
): ObjectId {
  return parseObjectId(objectHash(algorithm, type, content.length).update(content).digest("hex"));
}

/** Size and hash check of one object, fed chunk by chunk. */
export interface Verifier {
  /** @throws OdbError integrity, as soon as there are more bytes than `info.size` */
  update(chunk: Uint8Array): void;
  /** @throws OdbError integrity, when size or hash differ */
  finish(): void;
}

/**
 * Checks an object that is in memory whole, in a third of the time of a {@link verifier}.
 *
 * @param headed the content behind its loose header
 * @param size of the content alone, in bytes
 * @throws OdbError integrity, when size or hash differ
 */
export function verifyHeaded(info: ObjectInfo, headed: Uint8Array, size: number): void {
  if (size !== info.size) throw differentSize(info, size);
  const found = hash(algorithmOf(info.oid), headed, "hex");
  if (found !== info.oid) throw differentHash(info, found);
}

/** Checks that what passes is the object `info` names. */
export function verifier(info: ObjectInfo): Verifier {
  const running = objectHash(algorithmOf(info.oid), info.type, info.size);
  let size = 0;
  return {
    update(chunk) {
      size += chunk.length;
      if (size > info.size) {
        throw new OdbError("integrity", `object ${info.oid}: more bytes than the ${info.size} announced`);
      }
      running.update(chunk);
    },
    finish() {
      if (size !== info.size) throw differentSize(info, size);
      const found = running.digest("hex");
      if (found !== info.oid) throw differentHash(info, found);
    },
  };
}

function differentSize(info: ObjectInfo, size: number): OdbError {
  return new OdbError("integrity", `object ${info.oid}: ${size} bytes instead of ${info.size}`);
}

function differentHash(info: ObjectInfo, found: string): OdbError {
  return new OdbError("integrity", `object ${info.oid}: the bytes hash to ${found}`);
}

/**
 * Passes content through and throws at its end unless it was the object that `info` names. A consumer must
 * treat what it got as unproved until the stream ends.
 *
 * @throws OdbError integrity
 */
export async function* verified(content: Content, info: ObjectInfo): Content {
  const check = verifier(info);
  for await (const chunk of content) {
    check.update(chunk);
    yield chunk;
  }
  check.finish();
}

/** What was read of some content already, and then the rest. The chunks are let go of as they are given. */
export async function* resumed(chunks: Uint8Array[], rest: AsyncIterator<Uint8Array>): Content {
  try {
    for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) yield chunk;
    for (let step = await rest.next(); !step.done; step = await rest.next()) yield step.value;
  } finally {
    await rest.return?.();
  }
}
