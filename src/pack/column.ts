/** A growing column of numbers, or of short runs of bytes, in pages: nothing is copied when it grows. */

/** Rows a page. */
const PAGE = 1 << 14;

type Page = Buffer | Float64Array | Uint32Array;

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
    const page = this.#pages[Math.floor(row / PAGE)];
    if (page === undefined) throw new RangeError(`row ${row} is not reserved`);
    return page;
  }

  /** Where in its page a row lies, for columns of bytes. */
  range(row: number): [start: number, end: number] {
    const start = (row % PAGE) * this.#width;
    return [start, start + this.#width];
  }

  get(row: number): number {
    return this.page(row)[row % PAGE] ?? 0;
  }

  set(row: number, value: number): void {
    this.page(row)[row % PAGE] = value;
  }
}
