/** Deltas whose base was not at hand when they came by: kept flat, and found again by their bases. */

import { Column } from "./column.js";
import { lowerBound } from "./lower-bound.js";

/** What a delta stands on: an offset in the pack, or, negative, the number of an object whose place is not known yet. */
export type BaseKey = number;

/** The key of a base that is known by its number only. */
export function keyOfNumber(number: number): BaseKey {
  return -1 - number;
}

/** The number in such a key. @returns undefined for an offset */
export function numberOfKey(key: BaseKey): number | undefined {
  return key < 0 ? -1 - key : undefined;
}

/** Deltas that are held lie in blocks of this size, in bytes: a small Buffer of Node's keeps 8 KiB alive. */
const BLOCK = 256 * 1024;

/** Some 30 bytes a delta, but for those that are held themselves. Added in the order of the pack, then looked up. */
export class DeferredDeltas {
  readonly #offsets = new Column((length) => new Float64Array(length));
  readonly #crcs = new Column((length) => new Uint32Array(length));
  readonly #keys = new Column((length) => new Float64Array(length));
  #count = 0;
  readonly #held = new Map<number, Buffer>();
  /** What is free of the last block. */
  #room: Buffer = Buffer.alloc(0);
  /** Rows in the order of their keys, once it was asked for. */
  #order: Uint32Array | undefined;
  #taken = new Uint8Array(0);

  get count(): number {
    return this.#count;
  }

  /** @param delta copied, where there is room for it: else it is read from the pack again */
  add(offset: number, crc32: number, key: BaseKey, delta?: Buffer): void {
    const row = this.#count++;
    if (delta !== undefined) this.#held.set(row, this.#copied(delta));
    for (const column of [this.#offsets, this.#crcs, this.#keys]) column.reserve(row);
    this.#offsets.set(row, offset);
    this.#crcs.set(row, crc32);
    this.#keys.set(row, key);
  }

  #copied(delta: Buffer): Buffer {
    if (this.#room.length < delta.length) this.#room = Buffer.allocUnsafeSlow(Math.max(BLOCK, delta.length));
    const copy = this.#room.subarray(0, delta.copy(this.#room));
    this.#room = this.#room.subarray(copy.length);
    return copy;
  }

  offsetOf(row: number): number {
    return this.#offsets.get(row);
  }

  crcOf(row: number): number {
    return this.#crcs.get(row);
  }

  /** The delta, which is let go of. */
  release(row: number): Buffer | undefined {
    const delta = this.#held.get(row);
    this.#held.delete(row);
    return delta;
  }

  /** The rows that stand on a base: each time it is asked, those that nobody took. They are taken by that. */
  take(key: BaseKey): number[] {
    const rows: number[] = [];
    const order = this.#sorted();
    for (let at = this.#find(key); at < order.length; at++) {
      const row = order[at] ?? 0;
      if (this.#keys.get(row) !== key) break;
      if (this.#taken[row] === 0) rows.push(row);
      this.#taken[row] = 1;
    }
    return rows;
  }

  has(key: BaseKey): boolean {
    const row = this.#sorted()[this.#find(key)];
    return row !== undefined && this.#keys.get(row) === key && this.#taken[row] === 0;
  }

  /** The bases of what nobody took, ascending, each once. Others may be taken meanwhile. */
  *keys(): Iterable<BaseKey> {
    let last: number | undefined;
    for (const row of this.#sorted()) {
      const key = this.#keys.get(row);
      if (key === last || this.#taken[row] === 1) continue;
      last = key;
      yield key;
    }
  }

  #sorted(): Uint32Array {
    if (this.#order !== undefined) return this.#order;
    const keys = this.#keys;
    this.#taken = new Uint8Array(this.#count);
    this.#order = new Uint32Array(this.#count).map((_, row) => row);
    return this.#order.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
  }

  /** The first place in the order whose key is not smaller. */
  #find(key: BaseKey): number {
    const order = this.#sorted();
    return lowerBound(order.length, (at) => this.#keys.get(order[at] ?? 0) < key);
  }
}
