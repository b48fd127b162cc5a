/** Bases of deltas, each in memory while there is room, else set aside. */

import { type Content, contentOf, resumed } from "../object/content.js";
import type { ObjectType } from "../object/info.js";
import { type Spooled, spool, spooledInMemory } from "../object/spool.js";
import type { RandomAccess } from "./delta.js";

/** A base that deltas are applied to. */
export interface DeltaBase extends RandomAccess {
  readonly type: ObjectType;
  /** All of it, where it is in memory. */
  readonly held: Buffer | undefined;
  free(): Promise<void>;
}

/** No single base takes more than this share of the memory. */
const SHARE = 8;

/** What a base costs beside its bytes. */
const OVERHEAD = 512;

/** A bounded memory; its room is given back when a base is freed. */
export class BaseMemory {
  /** The largest base that is held, in bytes. */
  readonly share: number;
  readonly #setAside: ((content: Content) => Promise<Spooled>) | undefined;
  #room: number;

  /**
   * @param room in bytes
   * @param setAside takes what exceeds it; default: a temporary file each
   */
  constructor(room: number, setAside?: (content: Content) => Promise<Spooled>) {
    this.share = Math.ceil(room / SHARE);
    this.#room = room;
    this.#setAside = setAside;
  }

  async hold(type: ObjectType, content: Content): Promise<DeltaBase> {
    const limit = Math.min(this.share, this.#room - OVERHEAD);
    const rest = content[Symbol.asyncIterator]();
    const chunks: Uint8Array[] = [];
    let size = 0;
    for (let step = await rest.next(); !step.done; step = await rest.next()) {
      chunks.push(step.value);
      size += step.value.length;
      if (size > limit) return await this.#asideOf(type, resumed(chunks, rest));
    }
    return this.#inMemory(type, Buffer.concat(chunks, size));
  }

  async holdBytes(type: ObjectType, bytes: Buffer): Promise<DeltaBase> {
    if (bytes.length <= Math.min(this.share, this.#room - OVERHEAD)) return this.#inMemory(type, bytes);
    return await this.#asideOf(type, contentOf(bytes));
  }

  #inMemory(type: ObjectType, held: Buffer): DeltaBase {
    const cost = held.length + OVERHEAD;
    this.#room -= cost;
    const { size, read } = spooledInMemory(held);
    const free = async () => {
      this.#room += cost;
    };
    return { type, held, size, read, free };
  }

  async #asideOf(type: ObjectType, content: Content): Promise<DeltaBase> {
    const spooled = this.#setAside ? await this.#setAside(content) : await spool(content, { memoryLimit: 0 });
    return {
      type,
      held: undefined,
      size: spooled.size,
      read: (start, end) => spooled.read(start, end),
      free: async () => await spooled[Symbol.asyncDispose](),
    };
  }
}
