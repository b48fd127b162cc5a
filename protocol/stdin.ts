/** The helper's own stdin, read with as little as possible between the pipe and the packets. */

import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import { toOdbError } from "../src/errors.js";

/** Memory is taken in slabs of this size, in bytes; chunks are views of them that are not written to again. */
const SLAB = 256 * 1024;

/** A read is offered at least this much room: what a pipe holds. */
const ROOM = 64 * 1024;

/** Above this, in bytes, reading waits for the consumer. */
const HELD_LIMIT = 256 * 1024;

/**
 * Stdin as chunks. From a pipe or a socket, `process.stdin` takes 25 µs for a question and its answer, this 17
 * (Node 20); anything else is read by way of `process.stdin`. Whoever is not at its end leaves by `return`, which
 * closes it.
 */
export function stdinChunks(): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => (isPipe(0) ? new PipeReader(0) : process.stdin[Symbol.asyncIterator]()),
  };
}

function isPipe(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    return stats.isFIFO() || stats.isSocket();
  } catch {
    // Closed: process.stdin is empty then.
    return false;
  }
}

type Step = IteratorResult<Uint8Array, undefined>;

const END: Step = { done: true, value: undefined };

class PipeReader implements AsyncIterator<Uint8Array, undefined> {
  readonly #socket: Socket;
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB);
  #at = 0;
  #held: Uint8Array[] = [];
  #size = 0;
  #outcome: Promise<Step> | undefined;
  #waiting: { resolve: (step: Step) => void; reject: (error: Error) => void } | undefined;

  constructor(fd: number) {
    const onread = { buffer: () => this.#room(), callback: (count: number) => this.#take(count) };
    // `onread` is in the manual of socket.connect(), and taken by the constructor since Node 12.
    this.#socket = new Socket({ fd, readable: true, writable: false, onread } as object);
    this.#socket.on("end", () => this.#end(Promise.resolve(END)));
    this.#socket.on("close", () => this.#end(Promise.resolve(END)));
    this.#socket.on("error", (error) => this.#end(Promise.reject(toOdbError(error, "read stdin"))));
    this.#socket.resume();
  }

  next(): Promise<Step> {
    const value = this.#held.shift();
    if (value === undefined) {
      if (this.#outcome !== undefined) return this.#outcome;
      return new Promise((resolve, reject) => {
        this.#waiting = { resolve, reject };
      });
    }
    this.#size -= value.length;
    if (this.#held.length === 0 && this.#outcome === undefined) this.#socket.resume();
    return Promise.resolve({ done: false, value });
  }

  async return(): Promise<Step> {
    this.#held = [];
    this.#socket.destroy();
    return END;
  }

  /** Where the next bytes go. */
  #room(): Buffer {
    if (SLAB - this.#at < ROOM) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#at = 0;
    }
    return this.#slab.subarray(this.#at, this.#at + ROOM);
  }

  /** @returns false to stop reading */
  #take(count: number): boolean {
    const value = this.#slab.subarray(this.#at, this.#at + count);
    this.#at += count;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value });
      return true;
    }
    this.#held.push(value);
    this.#size += count;
    return this.#size < HELD_LIMIT;
  }

  #end(outcome: Promise<Step>): void {
    outcome.catch(() => {});
    this.#outcome ??= outcome;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) this.#outcome.then(waiting.resolve, waiting.reject);
  }
}
