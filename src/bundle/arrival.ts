/** A file on its way: what is there of it can be read while the rest arrives. */

import { open } from "node:fs/promises";
import { OdbError } from "../errors.js";

/** Read at once, in bytes: more than a pipe holds, so that git never waits for us. */
const CHUNK = 1 << 20;

/** A download under way. */
export class Arrival {
  /** The whole file's path, once it is whole and checked. Rejects as the download does. */
  readonly whole: Promise<string>;
  #path: string | undefined;
  #size = 0;
  #isOver = false;
  #beginnings = 0;
  #waiting: (() => void)[] = [];

  /** @param start begins the download, and tells of what is on disk: `size` bytes at `path`, fewer when begun anew */
  constructor(start: (onFile: (path: string, size: number) => void) => Promise<string>) {
    this.whole = start((path, size) => {
      if (size < this.#size || this.#path === undefined) this.#beginnings++;
      this.#path = path;
      this.#size = size;
      this.#wake();
    }).finally(() => {
      this.#isOver = true;
      this.#wake();
    });
    // It is awaited in its turn.
    this.whole.catch(() => {});
  }

  /**
   * The file's bytes from `start` on. They are only known to be right once this has ended without a failure.
   *
   * @throws OdbError unavailable, when the download was begun anew meanwhile; as the download fails
   */
  async *bytes(start = 0): AsyncGenerator<Buffer> {
    while (this.#path === undefined && !this.#isOver) await this.#news();
    if (this.#path === undefined) {
      await this.whole;
      throw new OdbError("bug", "a download that made no file");
    }
    const beginning = this.#beginnings;
    await using file = await open(this.#path);
    for (let at = start; ; ) {
      while (at >= this.#size && !this.#isOver && beginning === this.#beginnings) await this.#news();
      if (beginning !== this.#beginnings) throw new OdbError("unavailable", `${this.#path} was begun anew`);
      if (at >= this.#size) break;
      const length = Math.min(CHUNK, this.#size - at);
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, at);
      if (bytesRead === 0) throw new OdbError("integrity", `${this.#path} is shorter than it was`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    await this.whole;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
