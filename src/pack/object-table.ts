/** Objects by number, flat: a pack of a million of them is known in some 50 MB, where JavaScript objects would take 400. */

import { randomInt } from "node:crypto";
import type { Source } from "../object/content.js";
import { type HashAlgorithm, hexLength, type ObjectId } from "../object/id.js";
import { Column } from "./column.js";
import { IdColumn } from "./id-column.js";
import { indexSource } from "./idx-write.js";

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
  readonly #oids: IdColumn;
  /** The id that is looked for. */
  readonly #wanted: Int32Array;
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
    this.#oids = new IdColumn(this.width);
    this.#wanted = this.#oids.words();
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
    this.#oids.read(bytes, 0, this.#wanted);
    const number = this.#lookUp();
    return number < 0 ? undefined : number;
  }

  /** Where the object of that number lies. @returns undefined when it is not in the pack */
  placeOf(number: number): number | undefined {
    return this.#offsets.get(number) || undefined;
  }

  oidOf(number: number): ObjectId {
    const bytes = Buffer.alloc(this.width);
    this.#oids.copyTo(number, bytes, 0);
    return bytes.toString("hex") as ObjectId;
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

  /** The index file of the pack, once all of it is here. @param packChecksum its trailer in hex */
  toIndex(packChecksum: string): Source {
    const sorted = this.#sorted(true);
    return indexSource(
      {
        count: sorted.length,
        copyOid: (row, target, at) => this.#oids.copyTo(sorted[row] ?? 0, target, at),
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
    this.#oids.read(bytes, at, this.#wanted);
    const found = this.#lookUp();
    return found >= 0 ? found : this.#add(-1 - found);
  }

  /** @returns the number of the wanted id, or, negative, the slot that it would get */
  #lookUp(): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#hashOfWanted() & mask; ; slot = (slot + 1) & mask) {
      const number = (this.#slots[slot] ?? 0) - 1;
      if (number < 0) return -1 - slot;
      if (this.#oids.isAt(number, this.#wanted)) return number;
    }
  }

  #add(slot: number): number {
    const number = this.#size++;
    this.#oids.add(number, this.#wanted);
    this.#offsets.reserve(number);
    this.#notes.reserve(number);
    this.#slots[slot] = number + 1;
    return number;
  }

  #hashOfWanted(): number {
    let hash = this.#seed;
    for (let i = 0; i < this.#wanted.length; i++) {
      hash = Math.imul(hash ^ (this.#wanted[i] ?? 0), this.#seed);
    }
    return (hash ^ (hash >>> 15)) >>> 0;
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.#size; number++) {
      this.#oids.get(number, this.#wanted);
      let slot = this.#hashOfWanted() & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }

  /**
   * The numbers of the pack's objects, or of the others, in order of their ids: counted into 65,536 heaps, each then
   * sorted.
   */
  #sorted(isPlaced: boolean): Uint32Array {
    const heapOf = (number: number) => this.#oids.prefix(number);
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
      if (end - start > 1) sorted.subarray(start, end).sort((a, b) => this.#oids.compare(a, b));
      start = end;
    }
    return sorted;
  }
}
