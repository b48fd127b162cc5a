/** A growing column of numbers, or of short runs of them, in pages: nothing is copied when it grows. */

/** Rows a page: 2 to this power. */
const PAGE_BITS = 14;
const PAGE = 1 << PAGE_BITS;

type Page = Float64Array | Uint32Array | Int32Array;

/** A row has `width` elements; rows are reserved in order before they are used. */
export class Column<T extends Page> {
  readonly #pages: T[] = [];
  readonly #make: (length: number) => T;
  readonly #width: number;

  /** @param make a page of so many zeroes */
  constructor(make: (length: number) => T, width = 1) {
    this.#make = make;
    this.#width = width;
  }

  reserve(row: number): void {
    if (row >= this.#pages.length * PAGE) this.#pages.push(this.#make(PAGE * this.#width));
  }

  /** The page of a row. */
  page(row: number): T {
    const page = this.#pages[row >>> PAGE_BITS];
    if (page === undefined) throw new RangeError(`row ${row} is not reserved`);
    return page;
  }

  /** Where in its page a row begins. */
  start(row: number): number {
    return (row & (PAGE - 1)) * this.#width;
  }

  /** Of a column whose rows are one element each. */
  get(row: number): number {
    return this.page(row)[row & (PAGE - 1)] ?? 0;
  }

  set(row: number, value: number): void {
    this.page(row)[row & (PAGE - 1)] = value;
  }
}
