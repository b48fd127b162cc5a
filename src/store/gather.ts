/** Many objects of a store at once: small ones in memory, large ones from the connection or a private file. */

import { setMaxListeners } from "node:events";
import { type OdbError, toOdbError } from "../errors.js";
import { type Content, collect } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { spool } from "../object/spool.js";
import { asRaw } from "./encoding.js";
import type { ObjectStore, StoredObject } from "./store.js";

/** How to gather. */
export interface GatherOptions {
  /** Objects asked for at the same time. Default 16. */
  readonly parallel?: number;
  /** Told of each object that the store does not have. */
  readonly onMissing: (oid: ObjectId) => void;
  /** Told of each object that is broken in the store (`integrity`); any other failure ends the gathering. */
  readonly onBad: (oid: ObjectId, error: OdbError) => void;
  /** Makes the folder of the private files when it is needed. Default: the system's. */
  readonly directory?: () => Promise<string>;
  readonly signal?: AbortSignal;
}

/** An object on its way to a pack: valid until the next one is asked for. */
export interface GatheredObject {
  readonly info: ObjectInfo;
  /** Called once. What it gives is for the receiver to verify, as `writePromisorPack` does. */
  open(): Content;
}

/** Up to this size an object waits in memory. */
const SMALL = 1024 * 1024;

/** So many bytes of small objects may wait at one time; each worker may hold one object more. */
const WAITING = 16 * 1024 * 1024;

/**
 * Asks for objects in parallel and gives them as they come, in no order.
 *
 * @throws OdbError after the objects that had arrived: unavailable, denied, …, when the store fails
 */
export async function* gather(
  store: ObjectStore,
  oids: Iterable<ObjectId>,
  options: GatherOptions,
): AsyncGenerator<GatheredObject, void, void> {
  const run = new Gathering(store, oids, options);
  try {
    run.start();
    for (let next = await run.next(); next !== undefined; next = await run.next()) {
      try {
        yield next;
      } finally {
        // Also when the consumer leaves: a worker waits for it.
        await next.done();
      }
    }
  } finally {
    await run.stop();
  }
}

/** What waits for the consumer; `done` lets its worker go on. */
interface Waiting extends GatheredObject {
  done(): Promise<void>;
}

class Gathering {
  readonly #store: ObjectStore;
  readonly #oids: Iterator<ObjectId>;
  readonly #options: GatherOptions;
  readonly #abort = new AbortController();
  readonly #ready: Waiting[] = [];
  readonly #signal: AbortSignal;
  #workers: Promise<void>[] = [];
  #running = 0;
  #held = 0;
  /** Whether a large object goes straight from its connection to the consumer: one at a time. */
  #direct = false;
  #failure: OdbError | undefined;
  #wake: (() => void)[] = [];

  constructor(store: ObjectStore, oids: Iterable<ObjectId>, options: GatherOptions) {
    this.#store = store;
    this.#oids = oids[Symbol.iterator]();
    this.#options = options;
    const { signal } = options;
    this.#signal = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal;
    // One a request: Node would warn of a leak at eleven.
    setMaxListeners(0, this.#signal);
  }

  start(): void {
    this.#running = this.#options.parallel ?? 16;
    this.#workers = Array.from({ length: this.#running }, () => this.#work());
  }

  /** @returns undefined when all have been given */
  async next(): Promise<Waiting | undefined> {
    for (;;) {
      const next = this.#ready.shift();
      if (next !== undefined) return next;
      if (this.#running === 0) break;
      await this.#change();
    }
    if (this.#failure !== undefined) throw this.#failure;
    return undefined;
  }

  async stop(): Promise<void> {
    this.#failure ??= toOdbError(new Error("nobody waits for the objects any more"));
    this.#abort.abort();
    this.#changed();
    for (const waiting of this.#ready.splice(0)) await waiting.done();
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    try {
      for (let step = this.#oids.next(); !step.done; step = this.#oids.next()) {
        if (this.#failure !== undefined) break;
        await this.#bring(step.value);
        while (this.#held > WAITING && this.#failure === undefined) await this.#change();
      }
    } catch (error) {
      this.#failure ??= toOdbError(error);
    } finally {
      this.#running -= 1;
      this.#changed();
    }
  }

  async #bring(oid: ObjectId): Promise<void> {
    try {
      const stored = await this.#store.get(oid, { signal: this.#signal });
      if (stored === undefined) this.#options.onMissing(oid);
      else if (stored.info.size <= SMALL) await this.#inMemory(stored);
      else if (!this.#direct) await this.#straight(stored);
      else await this.#inFile(stored);
    } catch (cause) {
      const error = toOdbError(cause);
      if (error.code !== "integrity") throw error;
      this.#options.onBad(oid, error);
    }
  }

  async #inMemory(stored: StoredObject): Promise<void> {
    const { info } = stored;
    // One byte more than announced shows the receiver that there are too many.
    const content = stored.encoding === "raw" ? stored.content : asRaw(stored);
    const bytes = await collect(content, info.size + 1);
    this.#held += bytes.length;
    this.#give({
      info,
      async *open() {
        yield bytes;
      },
      done: async () => {
        this.#held -= bytes.length;
        this.#changed();
      },
    });
  }

  /** The worker waits until the consumer is through with the connection. */
  #straight(stored: StoredObject): Promise<void> {
    this.#direct = true;
    let opened = false;
    return new Promise((resolve) => {
      this.#give({
        info: stored.info,
        open: () => {
          opened = true;
          return asRaw(stored);
        },
        done: async () => {
          this.#direct = false;
          if (!opened) await leave(stored.content);
          resolve();
        },
      });
    });
  }

  async #inFile(stored: StoredObject): Promise<void> {
    const directory = await this.#options.directory?.();
    const spooled = await spool(asRaw(stored), {
      memoryLimit: 0,
      signal: this.#signal,
      ...(directory !== undefined && { directory }),
    });
    await new Promise<void>((resolve) => {
      this.#give({
        info: stored.info,
        open: () => spooled.open(),
        done: async () => {
          await spooled[Symbol.asyncDispose]();
          resolve();
        },
      });
    });
  }

  #give(object: Waiting): void {
    this.#ready.push(object);
    this.#changed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Ends a stream that nobody will read, so that its connection or file is let go of. */
async function leave(content: Content): Promise<void> {
  for await (const _ of content) break;
}
