/** Reading a stream by counted bytes, with what has been consumed handed to a checksum. */

import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";

/** A position in a stream. What is buffered is at most a chunk more than was asked for. */
export class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #what: string;
  readonly #onSkip: ((bytes: Buffer) => void) | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #position: number;
  #atEnd = false;

  /**
   * @param what names the stream in errors
   * @param onSkip sees every byte as it is consumed, in order
   * @param position what the first byte counts as
   */
  constructor(content: Content, what: string, onSkip?: (bytes: Buffer) => void, position = 0) {
    this.#iterator = content[Symbol.asyncIterator]();
    this.#what = what;
    this.#onSkip = onSkip;
    this.#position = position;
  }

  /** The position of the next byte. */
  get position(): number {
    return this.#position;
  }

  /** What is buffered and not consumed; valid until the next {@link fill} or {@link take}. */
  get buffered(): Buffer {
    return this.#buffer;
  }

  /** Buffers at least `count` bytes if the stream has them. @returns whether it had */
  async fill(count: number): Promise<boolean> {
    while (this.#buffer.length < count && !this.#atEnd) {
      const step = await this.#iterator.next();
      if (step.done) this.#atEnd = true;
      else this.#buffer = join(this.#buffer, step.value);
    }
    return this.#buffer.length >= count;
  }

  /**
   * The next `count` bytes, which stay where they are.
   *
   * @throws OdbError integrity, when the stream ends before
   */
  async peek(count: number): Promise<Buffer> {
    if (!(await this.fill(count))) throw this.truncated();
    return this.#buffer.subarray(0, count);
  }

  /** Consumes buffered bytes. */
  skip(count: number): void {
    this.#onSkip?.(this.#buffer.subarray(0, count));
    this.#buffer = this.#buffer.subarray(count);
    this.#position += count;
  }

  /**
   * The next `count` bytes, consumed.
   *
   * @throws OdbError integrity, when the stream ends before
   */
  async take(count: number): Promise<Buffer> {
    if (!(await this.fill(count))) throw this.truncated();
    const bytes = this.#buffer.subarray(0, count);
    this.skip(count);
    return bytes;
  }

  /** The error of a stream that ends too early. */
  truncated(): OdbError {
    return new OdbError("integrity", `${this.#what} ends early, at byte ${this.#position}`);
  }

  /** Lets go of the stream. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

function join(held: Buffer, next: Uint8Array): Buffer {
  if (held.length > 0) return Buffer.concat([held, next]);
  return Buffer.from(next.buffer, next.byteOffset, next.byteLength);
}
