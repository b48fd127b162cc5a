/**
 * Objects in memory by their places in a pack: those that came or were used last. Their bytes lie in two blocks of our own,
 * so that it takes what it says: a small Buffer of Node's keeps 8 KiB alive, whatever its size.
 */

import type { ObjectType } from "../object/info.js";
import { OffsetRows } from "./offset-rows.js";

/** An object that is held whole. */
export interface HeldObject {
  readonly type: ObjectType;
  readonly content: Buffer;
}

/** An object takes this much room at least, in bytes: its entry in the table costs about as much. */
const LEAST = 256;

/** No single object takes more than this share of the cache. */
const SHARE = 8;

/** Half of a cache, filled from front to back and then emptied at once. */
class Half {
  readonly #bytes: Buffer;
  readonly #rows: OffsetRows;
  /** By row: the type, and where the bytes begin; they end where those of the next row begin. */
  readonly #types: ObjectType[] = [];
  readonly #starts: Uint32Array;
  #counted = 0;

  constructor(size: number) {
    // Of its own: memory that is not touched is not taken.
    this.#bytes = Buffer.allocUnsafeSlow(size);
    const rows = Math.floor(size / LEAST);
    this.#rows = new OffsetRows(rows);
    this.#starts = new Uint32Array(rows + 1);
  }

  get(offset: number): HeldObject | undefined {
    const row = this.#rows.find(offset);
    const type = row === undefined ? undefined : this.#types[row];
    if (row === undefined || type === undefined) return undefined;
    return { type, content: this.#bytes.subarray(this.#starts[row], this.#starts[row + 1]) };
  }

  /** @returns false when it is full */
  put(offset: number, { type, content }: HeldObject): boolean {
    const cost = Math.max(content.length, LEAST);
    if (this.#counted + cost > this.#bytes.length) return false;
    this.#counted += cost;
    const row = this.#rows.add(offset);
    const start = this.#starts[row] ?? 0;
    this.#types[row] = type;
    this.#starts[row + 1] = start + content.copy(this.#bytes, start);
    return true;
  }

  clear(): void {
    this.#rows.clear();
    this.#counted = 0;
  }
}

/** A cache: whatever it has let go of has to be read again. */
export class ObjectCache {
  /** The largest object that is held, in bytes. */
  readonly largest: number;
  #young: Half;
  #old: Half;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.largest = Math.floor(limit / SHARE);
    const half = Math.floor(limit / 2);
    this.#young = new Half(half);
    this.#old = new Half(half);
  }

  /** What is used becomes young again. Its bytes are valid until the next `put`. */
  get(offset: number): HeldObject | undefined {
    const found = this.#young.get(offset);
    if (found !== undefined) return found;
    const old = this.#old.get(offset);
    if (old === undefined || !this.#young.put(offset, old)) return old;
    return this.#young.get(offset);
  }

  /** Copies its bytes. */
  put(offset: number, object: HeldObject): void {
    if (object.content.length > this.largest || this.#young.put(offset, object)) return;
    [this.#young, this.#old] = [this.#old, this.#young];
    this.#young.clear();
    this.#young.put(offset, object);
  }
}
