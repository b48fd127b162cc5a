/** The second pass over a pack: the deltas that had to wait are resolved in any order, in bounded memory. */

import { OdbError } from "../errors.js";
import { type Content, collect, contentOf, objectHash } from "../object/content.js";
import type { ObjectType } from "../object/info.js";
import { BaseMemory, type DeltaBase } from "./base-memory.js";
import { type DeferredDeltas, keyOfNumber, numberOfKey } from "./deferred.js";
import { applyDelta } from "./delta.js";
import { applyDeltaAtOnce, deltaHead } from "./delta-at-once.js";
import { lowerBound } from "./lower-bound.js";
import type { HeldObject } from "./object-cache.js";
import { objectDigest } from "./object-digest.js";
import type { ObjectTable } from "./object-table.js";
import { CHAIN_LIMIT, openData, type PackAccess, readEntry, readPacked } from "./resolve.js";
import { OBSERVED_LIMIT, type ObjectObserver, type ScannedPack, SMALL_BLOB } from "./scan.js";

/** Options of {@link resolveDeferred}. */
export interface ResolveOptions {
  /** Holds the bases. Default: 24 MiB, and temporary files beyond. */
  readonly memory?: BaseMemory;
  readonly onObject?: ObjectObserver | undefined;
}

/**
 * Finds the id of every delta that waits: a base is read once, and all that stands on it made from it before it goes.
 *
 * @param pack the pack that was scanned, now readable from any place; `external` gives the bases of a thin one
 * @returns the numbers of the objects outside of the pack that deltas stand on: any makes it a thin pack
 * @throws OdbError integrity, when a delta is broken or has no base
 */
export async function resolveDeferred(
  scanned: ScannedPack,
  pack: Omit<PackAccess, "find">,
  options: ResolveOptions = {},
): Promise<number[]> {
  const { table, deferred } = scanned;
  if (deferred.count === 0) return [];
  const find: PackAccess["find"] = async (oid) => {
    const number = table.find(oid);
    return number === undefined ? undefined : table.placeOf(number);
  };
  const resolver = new Resolver(scanned, { ...pack, find }, options);
  const places = table.places();
  for (const key of deferred.keys()) {
    const number = numberOfKey(key);
    const offset = number === undefined ? key : table.placeOf(number);
    // Else it is a delta itself, or made of one: its turn comes when its own base's has.
    if (offset !== undefined && isAmong(places, offset))
      await resolver.resolveOver(await resolver.load(offset), [key]);
  }
  const bases = await resolveThin(resolver, deferred, table, pack);
  const [left] = deferred.keys();
  if (left === undefined) return bases.filter((number) => table.placeOf(number) === undefined);
  const number = numberOfKey(left);
  const why =
    number === undefined
      ? "the deltas of some of its entries go in circles or stand on no entry"
      : `the base ${table.oidOf(number)} of a delta is missing`;
  throw new OdbError("integrity", `${pack.name}: ${why}`);
}

async function resolveThin(
  resolver: Resolver,
  deferred: DeferredDeltas,
  table: ObjectTable,
  pack: Omit<PackAccess, "find">,
): Promise<number[]> {
  const bases: number[] = [];
  for (const key of deferred.keys()) {
    const number = numberOfKey(key);
    const oid = number === undefined ? undefined : table.oidOf(number);
    const base = oid && (await pack.external?.(oid));
    if (number === undefined || base === undefined) continue;
    bases.push(number);
    await resolver.resolveOver(await resolver.memory.hold(base.type, base.content), [key]);
  }
  return bases;
}

/** Whether a sorted row of numbers has this one. */
function isAmong(sorted: Float64Array, wanted: number): boolean {
  return sorted[lowerBound(sorted.length, (at) => (sorted[at] ?? 0) < wanted)] === wanted;
}

/** A base, and the deltas that are still to be made of it. */
interface Frame {
  readonly base: DeltaBase;
  readonly rows: number[];
}

class Resolver {
  readonly memory: BaseMemory;
  readonly #scanned: ScannedPack;
  readonly #pack: PackAccess;
  readonly #onObject: ObjectObserver | undefined;
  /** An object that is made at once, in memory. */
  readonly #small: number;

  constructor(scanned: ScannedPack, pack: PackAccess, options: ResolveOptions) {
    this.memory = options.memory ?? new BaseMemory(24 * 1024 * 1024);
    this.#scanned = scanned;
    this.#pack = pack;
    this.#onObject = options.onObject;
    this.#small = scanned.cache.largest;
  }

  /** An object of the pack whose place is known. */
  async load(offset: number): Promise<DeltaBase> {
    const held = await this.#loadSmall(offset);
    // The cache may use its bytes again.
    if (held !== undefined) return await this.memory.holdBytes(held.type, Buffer.from(held.content));
    const { type, content } = await readPacked(this.#pack, offset, { bases: this.memory });
    return await this.memory.hold(type, content);
  }

  /**
   * Resolves all that stands on `base`, and on that, and so on; lets go of each base as early as can be, so that a chain
   * of deltas needs one at a time.
   */
  async resolveOver(base: DeltaBase, keys: readonly number[]): Promise<void> {
    const { deferred } = this.#scanned;
    const stack: Frame[] = [{ base, rows: keys.flatMap((key) => deferred.take(key)) }];
    try {
      for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
        const row = frame.rows.pop();
        const next = row === undefined ? undefined : await this.#resolve(frame.base, row);
        if (frame.rows.length === 0) {
          stack.pop();
          await frame.base.free();
        }
        if (next !== undefined) stack.push(next);
      }
    } finally {
      for (const { base: left } of stack) await left.free();
    }
  }

  /** @returns what it is the base of, if of anything */
  async #resolve(base: DeltaBase, row: number): Promise<Frame | undefined> {
    const { deferred } = this.#scanned;
    const offset = deferred.offsetOf(row);
    const what = `${this.#pack.name}, entry at ${offset}`;
    const delta = deferred.release(row) ?? (await readEntry(this.#pack, offset, this.#small))?.data;
    const head = delta && deltaHead(delta, what);
    if (base.held !== undefined && delta !== undefined && head !== undefined && head.size <= this.#small) {
      const content = applyDeltaAtOnce(base.held, delta, head, what);
      const number = this.#settle(base.type, content, row);
      const rows = this.#standingOn(offset, number);
      if (rows.length === 0) return undefined;
      return { base: await this.memory.holdBytes(base.type, content), rows };
    }
    const applied = async () =>
      await applyDelta(
        base,
        delta === undefined ? await openData(this.#pack, offset) : contentOf(delta),
        what,
      );
    const number = await this.#settleStream(base.type, await applied(), row);
    const rows = this.#standingOn(offset, number);
    if (rows.length === 0) return undefined;
    return { base: await this.memory.hold(base.type, (await applied()).content), rows };
  }

  #standingOn(offset: number, number: number): number[] {
    const { deferred } = this.#scanned;
    return [...deferred.take(offset), ...deferred.take(keyOfNumber(number))];
  }

  #settle(type: ObjectType, content: Buffer, row: number): number {
    const { table, cache } = this.#scanned;
    const number = this.#place(objectDigest(table.hash, type, content), row);
    if (type !== "blob" || content.length <= SMALL_BLOB) this.#onObject?.(type, number, content, table);
    cache.put(this.#scanned.deferred.offsetOf(row), { type, content });
    return number;
  }

  async #settleStream(
    type: ObjectType,
    { size, content }: { size: number; content: Content },
    row: number,
  ): Promise<number> {
    if (type !== "blob" || size <= SMALL_BLOB) {
      return this.#settle(type, await collect(content, OBSERVED_LIMIT), row);
    }
    const digest = objectHash(this.#scanned.table.hash, type, size);
    for await (const chunk of content) digest.update(chunk);
    return this.#place(digest.digest(), row);
  }

  #place(oid: Buffer, row: number): number {
    const { table, deferred } = this.#scanned;
    return table.place(oid, deferred.offsetOf(row), deferred.crcOf(row));
  }

  /** By way of the cache, which gets what lies between. @returns undefined when something of the chain is too large */
  async #loadSmall(offset: number): Promise<HeldObject | undefined> {
    const { cache } = this.#scanned;
    const chain: { offset: number; delta: Buffer }[] = [];
    let room = this.memory.share;
    let object = cache.get(offset);
    for (let at = offset; object === undefined; object = cache.get(at)) {
      const entry = await readEntry(this.#pack, at, Math.min(room, this.#small));
      if (entry === undefined || chain.length > CHAIN_LIMIT) return undefined;
      const { header, data } = entry;
      if (header.type !== "ofs-delta" && header.type !== "ref-delta") {
        object = { type: header.type, content: data };
        cache.put(at, object);
        break;
      }
      room -= data.length;
      chain.push({ offset: at, delta: data });
      const next = header.baseOffset ?? (header.baseId && (await this.#pack.find(header.baseId)));
      if (next === undefined) return undefined;
      at = next;
    }
    for (let link = chain.pop(); link !== undefined; link = chain.pop()) {
      const what = `${this.#pack.name}, entry at ${link.offset}`;
      const head = deltaHead(link.delta, what);
      if (head.size > this.#small) return undefined;
      object = { type: object.type, content: applyDeltaAtOnce(object.content, link.delta, head, what) };
      cache.put(link.offset, object);
    }
    return object;
  }
}
