/** Objects in memory by their places in a pack, up to so many bytes: those that were used stay longer. */

import type { ObjectType } from "../object/info.js";

/** An object that is held whole. */
export interface HeldObject {
  readonly type: ObjectType;
  readonly content: Buffer;
}

/** What an object costs beside its bytes. */
const OVERHEAD = 256;

/** No single object takes more than this share of the cache. */
const SHARE = 8;

/** A cache: whatever it has let go of has to be read again. */
export class ObjectCache {
  readonly #objects = new Map<number, { readonly object: HeldObject; used: boolean }>();
  /** The offsets in the order in which they are looked at when room is needed; those before `#head` are gone. */
  #queue: number[] = [];
  #head = 0;
  readonly #limit: number;
  #room: number;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
    this.#room = limit;
  }

  /** The largest object that is held, in bytes. */
  get largest(): number {
    return Math.floor(this.#limit / SHARE);
  }

  get(offset: number): HeldObject | undefined {
    const found = this.#objects.get(offset);
    if (found === undefined) return undefined;
    found.used = true;
    return found.object;
  }

  put(offset: number, object: HeldObject): void {
    if (object.content.length > this.largest || this.#objects.has(offset)) return;
    this.#objects.set(offset, { object, used: false });
    this.#queue.push(offset);
    this.#room -= object.content.length + OVERHEAD;
    while (this.#room < 0) this.#dropOne();
  }

  /** The oldest, unless it was used since it was looked at last: then it is the newest. */
  #dropOne(): void {
    const offset = this.#queue[this.#head++] ?? 0;
    if (this.#head > 4096 && 2 * this.#head > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    const entry = this.#objects.get(offset);
    if (entry?.used) {
      entry.used = false;
      this.#queue.push(offset);
    } else if (entry !== undefined) {
      this.#objects.delete(offset);
      this.#room += entry.object.content.length + OVERHEAD;
    }
  }
}
