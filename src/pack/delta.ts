/** Applying git's deltas: copies out of a base and insertions, in bounded memory (gitformat-pack(5), patch-delta.c). */

import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { ByteReader } from "./byte-reader.js";

/** Bytes that can be read in any order: a base object set aside. */
export interface RandomAccess {
  readonly size: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Small copies and insertions are gathered to chunks of this size; large copies are cut to it. */
const CHUNK = 256 * 1024;

/**
 * Begins to apply a delta.
 *
 * @param what names the object in errors
 * @returns the size of the result, and the result
 * @throws OdbError integrity, here and from the content, when the delta is not one for this base
 */
export async function applyDelta(
  base: RandomAccess,
  delta: Content,
  what: string,
): Promise<{ size: number; content: Content }> {
  const reader = new ByteReader(delta, `${what}: its delta`);
  const baseSize = await readSize(reader, what);
  const size = await readSize(reader, what);
  if (baseSize !== base.size) {
    throw new OdbError(
      "integrity",
      `${what}: its delta is for a base of ${baseSize} bytes, not ${base.size}`,
    );
  }
  return { size, content: gathered(result(base, reader, size, what), reader) };
}

/** The size of the object that a delta makes, from the delta's first bytes. */
export async function deltaResultSize(delta: Content, what: string): Promise<number> {
  const reader = new ByteReader(delta, `${what}: its delta`);
  try {
    await readSize(reader, what);
    return await readSize(reader, what);
  } finally {
    await reader.close();
  }
}

async function* result(base: RandomAccess, reader: ByteReader, size: number, what: string): Content {
  let made = 0;
  while (await reader.fill(1)) {
    const [op = 0] = await reader.take(1);
    if (op === 0) throw broken(what);
    if (op < 0x80) {
      made += op;
      if (made > size) throw broken(what);
      yield await reader.take(op);
      continue;
    }
    const { start, length } = await readCopy(reader, op);
    made += length;
    if (start + length > base.size || made > size) throw broken(what);
    for (let at = start; at < start + length; at += CHUNK) {
      yield await base.read(at, Math.min(at + CHUNK, start + length));
    }
  }
  if (made !== size) throw broken(what);
}

/** A copy: four bits say which bytes of the offset follow, three which of the length. */
async function readCopy(reader: ByteReader, op: number): Promise<{ start: number; length: number }> {
  let start = 0;
  let length = 0;
  for (let i = 0; i < 4; i++) if (op & (1 << i)) start += ((await reader.take(1))[0] ?? 0) * 256 ** i;
  for (let i = 0; i < 3; i++) if (op & (16 << i)) length += ((await reader.take(1))[0] ?? 0) * 256 ** i;
  return { start, length: length === 0 ? 0x10000 : length };
}

async function* gathered(pieces: Content, reader: ByteReader): Content {
  let held: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of pieces) {
      held.push(piece);
      size += piece.length;
      if (size < CHUNK) continue;
      yield Buffer.concat(held, size);
      held = [];
      size = 0;
    }
    if (size > 0) yield Buffer.concat(held, size);
  } finally {
    await reader.close();
  }
}

async function readSize(reader: ByteReader, what: string): Promise<number> {
  let size = 0;
  for (let scale = 1; ; scale *= 128) {
    const [byte = 0] = await reader.take(1);
    size += (byte & 0x7f) * scale;
    if (size > Number.MAX_SAFE_INTEGER || scale > 2 ** 56) throw broken(what);
    if (byte < 0x80) return size;
  }
}

function broken(what: string): OdbError {
  return new OdbError("integrity", `${what}: its delta is broken`);
}
