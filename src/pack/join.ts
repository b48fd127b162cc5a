/**
 * Joins entries of several packs into one new pack, as they lie there: nothing is inflated. A delta whose base is not
 * taken names it by its id instead of its place, so that `git index-pack --fix-thin` finds it (gitformat-pack(5)).
 */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { ByteReader } from "./byte-reader.js";
import { packHeader } from "./concat.js";

/** A pack to take entries from. */
export interface JoinSource {
  /** For messages. */
  readonly name: string;
  /** In bytes, trailer included. */
  readonly size: number;
  /** All of its entries, in the order in which they lie there. */
  readonly entries: readonly { readonly oid: ObjectId; readonly offset: number }[];
}

/** Bytes of a source, from `start` to `end` (exclusive). */
export interface JoinRun {
  readonly source: number;
  readonly start: number;
  readonly end: number;
}

/** What is to be read, and the pack that comes of it. */
export interface Join {
  /** Entries of the new pack. */
  readonly count: number;
  /** What must be read, in this order. */
  readonly runs: readonly JoinRun[];
  /**
   * The new pack.
   *
   * @param bytes of all runs, one after the other
   * @throws OdbError integrity, from the content, when an index does not fit its pack. The objects themselves are not
   *   verified: that is for who indexes the pack.
   */
  pack(bytes: Content): Content;
}

/** Unwanted bytes that are read along sooner than asking again. */
const GAP = 64 * 1024;

/** Small entries leave in pieces of this size. */
const PIECE = 256 * 1024;

/** Type, size and distance of an entry take less. */
const HEAD = 32;

/**
 * Plans to take each wanted object once, from the first source that has it.
 *
 * @param isWanted whether an object is needed; whatever it leaves out must be where the pack goes
 */
export function planJoin(
  sources: readonly JoinSource[],
  hash: HashAlgorithm,
  isWanted: (oid: ObjectId) => boolean,
): Join {
  const seen = new Set<ObjectId>();
  const runs: Run[] = [];
  for (const [source, { entries, size }] of sources.entries()) {
    const trailer = size - (hash === "sha1" ? 20 : 32);
    let run: Run | undefined;
    for (const [at, { oid, offset }] of entries.entries()) {
      if (seen.has(oid) || !isWanted(oid)) continue;
      seen.add(oid);
      const end = entries[at + 1]?.offset ?? trailer;
      if (run === undefined || offset - run.end > GAP) {
        run = { source, start: offset, end, entries: [] };
        runs.push(run);
      }
      run.end = end;
      run.entries.push({ oid, offset, end });
    }
  }
  return { count: seen.size, runs, pack: (bytes) => joined(sources, runs, seen.size, hash, bytes) };
}

interface Run extends JoinRun {
  end: number;
  readonly entries: { readonly oid: ObjectId; readonly offset: number; readonly end: number }[];
}

async function* joined(
  sources: readonly JoinSource[],
  runs: readonly Run[],
  count: number,
  hash: HashAlgorithm,
  bytes: Content,
): Content {
  const reader = new ByteReader(bytes, "the packs that are joined");
  const digest = createHash(hash);
  const output = new Output(digest);
  try {
    output.add(packHeader(count));
    let places = new Places(undefined);
    for (const run of runs) {
      const source = sources[run.source];
      if (places.source !== source) places = new Places(source);
      const base = reader.position - run.start;
      for (const entry of run.entries) {
        const gap = base + entry.offset - reader.position;
        if (gap > 0) await reader.take(gap);
        for await (const piece of entryBytes(reader, entry, places, output.size)) {
          output.add(piece);
          if (output.held >= PIECE) yield output.flush();
        }
      }
    }
    if (output.held > 0) yield output.flush();
    yield digest.digest();
  } finally {
    await reader.close();
  }
}

/** Where what was taken of a source stands now, and what stands anywhere in it. */
class Places {
  readonly source: JoinSource | undefined;
  readonly now = new Map<number, number>();
  #ids: Map<number, ObjectId> | undefined;

  constructor(source: JoinSource | undefined) {
    this.source = source;
  }

  idAt(offset: number): ObjectId | undefined {
    this.#ids ??= new Map(this.source?.entries.map((entry) => [entry.offset, entry.oid]));
    return this.#ids.get(offset);
  }
}

class Output {
  readonly #digest: { update(bytes: Uint8Array): unknown };
  #pieces: Uint8Array[] = [];
  held = 0;
  size = 0;

  constructor(digest: { update(bytes: Uint8Array): unknown }) {
    this.#digest = digest;
  }

  add(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.held += bytes.length;
    this.size += bytes.length;
  }

  flush(): Uint8Array {
    const [only] = this.#pieces;
    const bytes =
      only !== undefined && this.#pieces.length === 1 ? only : Buffer.concat(this.#pieces, this.held);
    this.#pieces = [];
    this.held = 0;
    this.#digest.update(bytes);
    return bytes;
  }
}

/** An entry as it is to stand at `position` of the new pack. */
async function* entryBytes(
  reader: ByteReader,
  entry: { readonly offset: number; readonly end: number },
  places: Places,
  position: number,
): Content {
  let left = entry.end - entry.offset;
  await reader.fill(Math.min(left, HEAD));
  const head = parseHead(reader.buffered.subarray(0, left), entry.offset, places.source?.name ?? "");
  if (head.distance !== undefined) {
    reader.skip(head.length);
    left -= head.length;
    yield rebased(head, entry.offset, places, position);
  }
  places.now.set(entry.offset, position);
  while (left > 0) {
    if (!(await reader.fill(1))) throw reader.truncated();
    const piece = reader.buffered.subarray(0, left);
    reader.skip(piece.length);
    left -= piece.length;
    yield piece;
  }
}

interface Head {
  /** Type and size. */
  readonly typeAndSize: Buffer;
  /** Of an offset delta: how far before it its base begins. */
  readonly distance: number | undefined;
  /** In bytes, the distance included. */
  readonly length: number;
}

function parseHead(bytes: Buffer, offset: number, name: string): Head {
  let at = 1;
  while (((bytes[at - 1] ?? 0) & 0x80) !== 0 && at < bytes.length) at++;
  const typeAndSize = Buffer.from(bytes.subarray(0, at));
  if ((((bytes[0] ?? 0) >> 4) & 7) !== OFS_DELTA) return { typeAndSize, distance: undefined, length: at };
  let byte = bytes[at++] ?? 0;
  let distance = byte & 0x7f;
  while ((byte & 0x80) !== 0 && at < bytes.length) {
    byte = bytes[at++] ?? 0;
    distance = (distance + 1) * 128 + (byte & 0x7f);
  }
  if (distance > 0 && distance < offset) return { typeAndSize, distance, length: at };
  throw new OdbError(
    "integrity",
    `${name}, entry at ${offset}: the base of the delta lies outside of the pack`,
  );
}

function rebased(
  { typeAndSize, distance = 0 }: Head,
  offset: number,
  places: Places,
  position: number,
): Buffer {
  const base = offset - distance;
  const now = places.now.get(base);
  if (now !== undefined) return Buffer.concat([typeAndSize, formatDistance(position - now)]);
  const oid = places.idAt(base);
  if (oid === undefined) {
    throw new OdbError(
      "integrity",
      `${places.source?.name}, entry at ${offset}: no entry begins where its base should`,
    );
  }
  typeAndSize[0] = ((typeAndSize[0] ?? 0) & 0x8f) | (REF_DELTA << 4);
  return Buffer.concat([typeAndSize, Buffer.from(oid, "hex")]);
}

const OFS_DELTA = 6;
const REF_DELTA = 7;

function formatDistance(distance: number): Buffer {
  const bytes = [distance % 128];
  for (let rest = Math.floor(distance / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    bytes.unshift(0x80 | (rest % 128));
  }
  return Buffer.from(bytes);
}
