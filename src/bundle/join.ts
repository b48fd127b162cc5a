/** The packs of several bundles as one: git indexes it in one go, and need not complete a pack that stands on another. */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";

/** The pack at the end of a bundle. */
export interface PackSource {
  /** Names the bundle in errors. */
  readonly what: string;
  /** The pack's bytes from an offset in it on, to its end. */
  bytes(start: number): AsyncIterable<Buffer>;
  /** Its bytes are checked otherwise before they end: by the digest of the whole file. */
  readonly isChecked?: boolean;
}

/** `PACK`, version, number of objects (gitformat-pack(5)). */
const HEADER_SIZE = 12;

/**
 * One pack with the entries of all, in order. Deltas stay as they are: by offset they name an entry of the same pack,
 * whose distance does not change, and by id any object.
 *
 * Nothing ends the pack before every source has ended without a failure and its own checksum was right: so whoever
 * reads it takes all or nothing.
 *
 * @throws OdbError integrity, when a source is no whole pack; as the sources fail
 */
export async function* joinPacks(
  sources: readonly PackSource[],
  hash: HashAlgorithm,
): AsyncGenerator<Buffer> {
  const heads = await Promise.all(sources.map(readHead));
  const count = heads.reduce((sum, head) => sum + head.readUInt32BE(8), 0);
  if (count > 0xff_ff_ff_ff) throw new OdbError("unsupported", "more objects than a pack can have");
  const head = Buffer.from("PACK\0\0\0\x02\0\0\0\0");
  head.writeUInt32BE(count, 8);
  const digest = createHash(hash).update(head);
  yield head;
  for (const [n, source] of sources.entries()) {
    for await (const chunk of entriesOf(source, heads[n] ?? head, hash)) {
      digest.update(chunk);
      yield chunk;
    }
  }
  yield digest.digest();
}

async function readHead({ bytes, what }: PackSource): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for await (const chunk of bytes(0)) {
    head = Buffer.concat([head, chunk.subarray(0, HEADER_SIZE)]);
    if (head.length >= HEADER_SIZE) break;
  }
  const version =
    head.length < HEADER_SIZE || head.toString("latin1", 0, 4) !== "PACK" || head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new OdbError("integrity", `${what}: there is no pack in it`);
  return head.subarray(0, HEADER_SIZE);
}

/** What is between header and checksum. */
async function* entriesOf(source: PackSource, head: Buffer, hash: HashAlgorithm): AsyncGenerator<Buffer> {
  const digest = source.isChecked ? undefined : createHash(hash).update(head);
  const trailerSize = hash === "sha1" ? 20 : 32;
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of source.bytes(HEADER_SIZE)) {
    // What may be the checksum is held back.
    const all = chunk.length < trailerSize ? [Buffer.concat([held, chunk])] : [held, chunk];
    const last = all.pop() ?? chunk;
    const end = Math.max(0, last.length - trailerSize);
    held = last.subarray(end);
    for (const piece of [...all, last.subarray(0, end)]) {
      if (piece.length === 0) continue;
      digest?.update(piece);
      yield piece;
    }
  }
  if (held.length < trailerSize || digest?.digest().equals(held) === false) {
    throw new OdbError("integrity", `${source.what}: its pack is not whole or has wrong bytes (checksum)`);
  }
}
