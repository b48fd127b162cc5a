/** Objects by number, flat: a pack of a million of them is known in some 50 MB, where JavaScript objects would take 400. */

import { randomInt } from "node:crypto";
import { type HashAlgorithm, hexLength, type ObjectId } from "../object/id.js";
import { Column } from "./column.js";
import { formatRows } from "./idx-write.js";

/** Who refers to an object, where it is no object of the pack. */
export const referrers = { ref: 0xffffffff, delta: 0xfffffffe } as const;

/** An object that something refers to and the pack does not have. */
export interface MissingObject {
  readonly oid: ObjectId;
  /** Names who refers to it, for messages. */
  readonly from: string;
}

/** By the first two bytes of an id. */
const HEAPS = 0x10000;

/** The first table of slots. */
const FIRST_SLOTS = 1 << 12;

/**
 * The objects of a pack, with their places, and those that they refer to, each once. An object keeps its number.
 */
export class ObjectTable {
  readonly hash: HashAlgorithm;
  /** Bytes of an id. */
  readonly width: number;
  readonly #oids: Column<Buffer>;
  /** Where the object begins in the pack; 0: it is not in it, or not yet. */
  readonly #offsets = new Column((length) => new Float64Array(length));
  /** The CRC-32 of one in the pack; the number of who refers to one that is not. */
  readonly #notes = new Column((length) => new Uint32Array(length));
  /** Open addressing: a number and one, or 0. */
  #slots = new Uint32Array(FIRST_SLOTS);
  #size = 0;
  #placed = 0;
  /** Where objects stand for the second time. */
  readonly #again: number[] = [];
  /** Ids in links are chosen by whoever made the pack: they must not all fall on one slot. */
  readonly #seed = randomInt(2 ** 31) * 2 + 1;

  constructor(hash: HashAlgorithm) {
    this.hash = hash;
    this.width = hexLength[hash] / 2;
    this.#oids = new Column((length) => Buffer.alloc(length), this.width);
  }

  /** How many objects the pack has. */
  get placed(): number {
    return this.#placed;
  }

  /** Notes where an object lies. One that stands twice in a pack keeps its first place. @returns its number */
  place(oid: Buffer, offset: number, crc32: number): number {
    const number = this.#number(oid, 0);
    if (this.#offsets.get(number) !== 0) {
      this.#again.push(offset);
      return number;
    }
    this.#offsets.set(number, offset);
    this.#notes.set(number, crc32);
    this.#placed++;
    return number;
  }

  /** Notes that `from` (a number, or one of {@link referrers}) refers to the object whose id lies at `at`. @returns its number */
  refer(bytes: Buffer, at: number, from: number): number {
    const before = this.#size;
    const number = this.#number(bytes, at);
    if (number === before) this.#notes.set(number, from);
    return number;
  }

  /** @returns undefined when nobody has spoken of it */
  find(oid: ObjectId): number | undefined {
    const bytes = Buffer.from(oid, "hex");
    if (bytes.length !== this.width) return undefined;
    const number = this.#lookUp(bytes, 0);
    return number < 0 ? undefined : number;
  }

  /** Where the object of that number lies. @returns undefined when it is not in the pack */
  placeOf(number: number): number | undefined {
    return this.#offsets.get(number) || undefined;
  }

  oidOf(number: number): ObjectId {
    return this.#oids.page(number).toString("hex", ...this.#oids.range(number)) as ObjectId;
  }

  /** The places of all objects, ascending; of one that stands twice, both. */
  places(): Float64Array {
    const places = new Float64Array(this.#placed + this.#again.length);
    places.set(this.#again);
    let count = this.#again.length;
    for (let number = 0; number < this.#size; number++) {
      const place = this.#offsets.get(number);
      if (place !== 0) places[count++] = place;
    }
    return places.sort();
  }

  /** What is referred to and not there, in order of the ids. */
  *missing(): Iterable<MissingObject> {
    for (const number of this.#sorted(false)) {
      yield { oid: this.oidOf(number), from: this.#nameOf(this.#notes.get(number)) };
    }
  }

  /** The ids of all objects of the pack, in no order. */
  *oids(): Iterable<ObjectId> {
    for (let number = 0; number < this.#size; number++) {
      if (this.#offsets.get(number) !== 0) yield this.oidOf(number);
    }
  }

  /** The index file of the pack. @param packChecksum its trailer in hex */
  toIndex(packChecksum: string): Buffer {
    const sorted = this.#sorted(true);
    return formatRows(
      {
        count: sorted.length,
        copyOid: (row, target, at) => {
          const number = sorted[row] ?? 0;
          this.#oids.page(number).copy(target, at, ...this.#oids.range(number));
        },
        crc32: (row) => this.#notes.get(sorted[row] ?? 0),
        offset: (row) => this.#offsets.get(sorted[row] ?? 0),
      },
      packChecksum,
      this.hash,
    );
  }

  #nameOf(from: number): string {
    if (from === referrers.ref) return "a ref";
    return from === referrers.delta ? "a delta" : `object ${this.oidOf(from)}`;
  }

  #number(bytes: Buffer, at: number): number {
    if (3 * this.#size >= 2 * this.#slots.length) this.#grow();
    const found = this.#lookUp(bytes, at);
    return found >= 0 ? found : this.#add(bytes, at, -1 - found);
  }

  /** @returns its number, or, negative, the slot that it would get */
  #lookUp(bytes: Buffer, at: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#hashOf(bytes, at) & mask; ; slot = (slot + 1) & mask) {
      const number = (this.#slots[slot] ?? 0) - 1;
      if (number < 0) return -1 - slot;
      if (this.#isAt(number, bytes, at)) return number;
    }
  }

  #add(bytes: Buffer, at: number, slot: number): number {
    const number = this.#size++;
    this.#oids.reserve(number);
    this.#offsets.reserve(number);
    this.#notes.reserve(number);
    bytes.copy(this.#oids.page(number), this.#oids.range(number)[0], at, at + this.width);
    this.#slots[slot] = number + 1;
    return number;
  }

  #isAt(number: number, bytes: Buffer, at: number): boolean {
    const page = this.#oids.page(number);
    const [start] = this.#oids.range(number);
    // For so few bytes a call of Buffer.compare costs ten times as much.
    for (let i = 0; i < this.width; i++) if (page[start + i] !== bytes[at + i]) return false;
    return true;
  }

  #hashOf(bytes: Buffer, at: number): number {
    let hash = this.#seed;
    for (let i = 0; i < this.width; i += 4) hash = Math.imul(hash ^ bytes.readInt32LE(at + i), this.#seed);
    return (hash ^ (hash >>> 15)) >>> 0;
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.#size; number++) {
      let slot = this.#hashOf(this.#oids.page(number), this.#oids.range(number)[0]) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }

  /**
   * The numbers of the pack's objects, or of the others, in order of their ids: counted into 65,536 heaps, each then
   * sorted.
   */
  #sorted(isPlaced: boolean): Uint32Array {
    const heapOf = (number: number) => this.#oids.page(number).readUInt16BE(this.#oids.range(number)[0]);
    const isWanted = (number: number) => (this.#offsets.get(number) !== 0) === isPlaced;
    const next = new Uint32Array(HEAPS + 1);
    for (let number = 0; number < this.#size; number++) {
      if (isWanted(number)) next[heapOf(number) + 1] = (next[heapOf(number) + 1] ?? 0) + 1;
    }
    for (let heap = 0; heap < HEAPS; heap++) next[heap + 1] = (next[heap + 1] ?? 0) + (next[heap] ?? 0);
    const sorted = new Uint32Array(isPlaced ? this.#placed : this.#size - this.#placed);
    for (let number = 0; number < this.#size; number++) {
      if (!isWanted(number)) continue;
      const heap = heapOf(number);
      const at = next[heap] ?? 0;
      sorted[at] = number;
      next[heap] = at + 1;
    }
    // Each heap ends now where the next one began.
    for (let heap = 0, start = 0; heap < HEAPS; heap++) {
      const end = next[heap] ?? 0;
      if (end - start > 1) sorted.subarray(start, end).sort((a, b) => this.#compare(a, b));
      start = end;
    }
    return sorted;
  }

  #compare(a: number, b: number): number {
    const [start, end] = this.#oids.range(b);
    return this.#oids.page(a).compare(this.#oids.page(b), start, end, ...this.#oids.range(a));
  }
}
