/** Deltas whose base was not at hand when they came by: kept flat, and found again by their bases. */

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

/** Some 40 bytes a delta, but for those that are held themselves. Added in the order of the pack, then looked up. */
export class DeferredDeltas {
  readonly #offsets: number[] = [];
  readonly #crcs: number[] = [];
  readonly #keys: number[] = [];
  readonly #held = new Map<number, Buffer>();
  /** Rows in the order of their keys, once it was asked for. */
  #order: Uint32Array | undefined;
  #taken = new Uint8Array(0);

  get count(): number {
    return this.#offsets.length;
  }

  /** @param delta where there is room for it: else it is read from the pack again */
  add(offset: number, crc32: number, key: BaseKey, delta?: Buffer): void {
    if (delta !== undefined) this.#held.set(this.#offsets.length, delta);
    this.#offsets.push(offset);
    this.#crcs.push(crc32);
    this.#keys.push(key);
  }

  offsetOf(row: number): number {
    return this.#offsets[row] ?? 0;
  }

  crcOf(row: number): number {
    return this.#crcs[row] ?? 0;
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
      if (this.#keys[row] !== key) break;
      if (this.#taken[row] === 0) rows.push(row);
      this.#taken[row] = 1;
    }
    return rows;
  }

  has(key: BaseKey): boolean {
    const row = this.#sorted()[this.#find(key)];
    return row !== undefined && this.#keys[row] === key && this.#taken[row] === 0;
  }

  /** The bases of what nobody took, ascending, each once. Others may be taken meanwhile. */
  *keys(): Iterable<BaseKey> {
    let last: number | undefined;
    for (const row of this.#sorted()) {
      const key = this.#keys[row] ?? 0;
      if (key === last || this.#taken[row] === 1) continue;
      last = key;
      yield key;
    }
  }

  #sorted(): Uint32Array {
    if (this.#order !== undefined) return this.#order;
    const keys = this.#keys;
    this.#taken = new Uint8Array(keys.length);
    this.#order = Uint32Array.from(keys.keys()).sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || a - b);
    return this.#order;
  }

  /** The first place in the order whose key is not smaller. */
  #find(key: BaseKey): number {
    const order = this.#sorted();
    let [low, high] = [0, order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[order[middle] ?? 0] ?? 0) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
