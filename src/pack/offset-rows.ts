/** Numbers the offsets that it is given: flat, for a Map of a million short-lived entries keeps the garbage collector busy. */

/** Open addressing, less than half full. Offsets are above 0. */
export class OffsetRows {
  /** An offset, or 0. */
  readonly #keys: Float64Array;
  readonly #rows: Uint32Array;
  readonly #mask: number;
  #count = 0;

  /** @param most how many are added before the next `clear` */
  constructor(most: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * most + 2));
    this.#keys = new Float64Array(slots);
    this.#rows = new Uint32Array(slots);
    this.#mask = slots - 1;
  }

  /** @returns its row: how many were added before. One that is added again gets a new one. */
  add(offset: number): number {
    const slot = this.#slotOf(offset);
    this.#keys[slot] = offset;
    this.#rows[slot] = this.#count;
    return this.#count++;
  }

  find(offset: number): number | undefined {
    const slot = this.#slotOf(offset);
    return this.#keys[slot] === offset ? this.#rows[slot] : undefined;
  }

  clear(): void {
    this.#keys.fill(0);
    this.#count = 0;
  }

  /** Where it is, or would be. */
  #slotOf(offset: number): number {
    const mixed = Math.imul(offset ^ Math.floor(offset / 2 ** 32), 0x9e3779b1);
    let slot = (mixed ^ (mixed >>> 15)) & this.#mask;
    for (let key = this.#keys[slot]; key !== 0 && key !== offset; key = this.#keys[slot]) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}
