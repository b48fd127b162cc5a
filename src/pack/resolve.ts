/** Reading single objects out of a pack by ranges, deltas resolved in bounded memory. */

import { OdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { type Spooled, type SpoolOptions, spool } from "../object/spool.js";
import type { BaseMemory } from "./base-memory.js";
import { bodyContent, type EntryBody, entryBody } from "./body.js";
import { ByteReader } from "./byte-reader.js";
import { applyDelta, deltaResultSize, type RandomAccess } from "./delta.js";
import { type EntryHeader, readEntryHeader } from "./entry.js";

/** A pack that can be read from any place. */
export interface PackAccess {
  /** For messages. */
  readonly name: string;
  readonly hash: HashAlgorithm;
  /** In bytes, trailer included. */
  readonly size: number;
  /** The bytes from `start` to `end` (exclusive), as they come. */
  read(start: number, end: number): Promise<Content>;
  /** Where an object lies in this pack: needed for ref deltas. */
  find(oid: ObjectId): Promise<number | undefined>;
  /** An object outside of the pack: for the bases of a thin pack. */
  external?(oid: ObjectId): Promise<PackedObject | undefined>;
}

/** An object read from a pack. Its content must be consumed, or begun and left. */
export interface PackedObject {
  readonly type: ObjectType;
  readonly size: number;
  readonly content: Content;
}

/** Options of {@link readPacked}. */
export interface ReadPackedOptions extends SpoolOptions {
  /** Holds bases in place of memory and temporary files. */
  readonly bases?: BaseMemory;
}

/** Deltas one on the other; git's own limit is 4095 (pack.depth). */
export const CHAIN_LIMIT = 4096;

/** The first read of an entry; each further one is four times as large, up to the limit. */
const WINDOW = 64 * 1024;
/** The first read where only headers are wanted. */
const HEADER_WINDOW = 4 * 1024;
const WINDOW_LIMIT = 16 * 1024 * 1024;

/**
 * The object whose entry begins at `offset`. Bases are set aside one at a time, in memory or, above
 * `memoryLimit`, in a temporary file: two at most exist at once.
 *
 * @throws OdbError integrity, here and from the content
 */
export async function readPacked(
  pack: PackAccess,
  offset: number,
  options: ReadPackedOptions = {},
): Promise<PackedObject> {
  const deltas: number[] = [];
  let object = await openBase(pack, offset, deltas);
  for (let at = deltas.pop(); at !== undefined; at = deltas.pop()) {
    object = await overBase(pack, at, object, options);
  }
  return object;
}

/**
 * Type and size of that object, without reading it: the headers of its chain and the first bytes of one delta.
 *
 * @throws OdbError integrity
 */
export async function statPacked(
  pack: PackAccess,
  offset: number,
): Promise<Pick<PackedObject, "type" | "size">> {
  const deltas: number[] = [];
  const { type, size, content } = await openBase(pack, offset, deltas, HEADER_WINDOW);
  for await (const _ of content) break;
  if (deltas.length === 0) return { type, size };
  const { body, what } = await openEntry(pack, offset, HEADER_WINDOW);
  return { type, size: await deltaResultSize(owned(body), what) };
}

/** The inflated data of one entry as it is, a delta too. */
export async function openData(pack: PackAccess, offset: number): Promise<Content> {
  return owned((await openEntry(pack, offset)).body);
}

/** An entry whole, a delta as it is. @returns undefined when its data have more than `limit` bytes */
export async function readEntry(
  pack: PackAccess,
  offset: number,
  limit: number,
): Promise<{ header: EntryHeader; data: Buffer } | undefined> {
  const { header, body } = await openEntry(pack, offset);
  if (header.size <= limit) return { header, data: await collect(owned(body), limit) };
  await body.end();
  return undefined;
}

/** Walks to the object that a chain of deltas stands on; the deltas' offsets go to `deltas`, outermost first. */
async function openBase(
  pack: PackAccess,
  offset: number,
  deltas: number[],
  window = WINDOW,
): Promise<PackedObject> {
  for (let at = offset; ; ) {
    const { header, body, what } = await openEntry(pack, at, window);
    if (header.type !== "ofs-delta" && header.type !== "ref-delta") {
      return { type: header.type, size: header.size, content: owned(body) };
    }
    await body.end();
    if (deltas.push(at) > CHAIN_LIMIT) throw new OdbError("integrity", `${what}: its deltas go in circles`);
    const base = header.baseOffset ?? (await findBase(pack, header));
    if (typeof base === "number") {
      at = base;
      continue;
    }
    if (base !== undefined) return base;
    throw new OdbError("integrity", `${what}: the base ${header.baseId} of its delta is missing`);
  }
}

async function findBase(pack: PackAccess, { baseId }: EntryHeader) {
  if (baseId === undefined) return undefined;
  return (await pack.find(baseId)) ?? (await pack.external?.(baseId));
}

async function overBase(
  pack: PackAccess,
  offset: number,
  object: PackedObject,
  { bases, ...options }: ReadPackedOptions,
): Promise<PackedObject> {
  const base = bases
    ? await bases.hold(object.type, object.content)
    : inSpool(await spool(object.content, options));
  let body: OpenBody | undefined;
  try {
    const entry = await openEntry(pack, offset);
    body = entry.body;
    const { size, content } = await applyDelta(base, bodyContent(body), entry.what);
    return { type: object.type, size, content: disposing(content, base, body) };
  } catch (error) {
    await body?.end();
    await base.free();
    throw error;
  }
}

interface ObjectBase extends RandomAccess {
  free(): Promise<void>;
}

function inSpool(spooled: Spooled): ObjectBase {
  return {
    size: spooled.size,
    read: (start, end) => spooled.read(start, end),
    free: async () => await spooled[Symbol.asyncDispose](),
  };
}

async function* disposing(content: Content, base: ObjectBase, body: OpenBody): Content {
  try {
    yield* content;
  } finally {
    await body.end();
    await base.free();
  }
}

interface OpenBody extends EntryBody {
  /** Frees the inflater and lets go of the pack. */
  end(): Promise<void>;
}

async function openEntry(
  pack: PackAccess,
  offset: number,
  window = WINDOW,
): Promise<{ header: EntryHeader; body: OpenBody; what: string }> {
  const what = `${pack.name}, entry at ${offset}`;
  const reader = new ByteReader(windows(pack, offset, window), what, undefined, offset);
  try {
    const header = await readEntryHeader(reader, pack.hash, what);
    const body = entryBody(reader, header.size, what);
    const end = async () => {
      body.close();
      await reader.close();
    };
    return { header, body: { ...body, end }, what };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

async function* owned(body: OpenBody): Content {
  try {
    yield* bodyContent(body);
  } finally {
    await body.end();
  }
}

/** The pack from `offset` on, by as few and as small reads as an entry of unknown length allows. */
async function* windows(pack: PackAccess, offset: number, first: number): Content {
  let size = first;
  for (let at = offset; at < pack.size; ) {
    const end = Math.min(at + size, pack.size);
    yield* await pack.read(at, end);
    at = end;
    size = Math.min(size * 4, WINDOW_LIMIT);
  }
}
