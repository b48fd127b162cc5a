/** Processes that use one bucket, each stopped before its next call. */

import { setImmediate as settled } from "node:timers/promises";
import type { Body, Bucket, Entry } from "../../src/bucket/bucket.js";
import { wrapBucket } from "../../src/bucket/wrap.js";
import { collect, contentOf } from "../../src/object/content.js";

/** One call of one process. */
export interface Step {
  readonly who: number;
  readonly kind: "head" | "read" | "list" | "write" | "remove";
  /** A prefix, of a list. */
  readonly key: string;
}

/** A fresh start of all processes. */
export interface Scene {
  readonly bucket: Bucket;
  /** What each process does with the bucket, or without being stopped; a rejection is an outcome like any other. */
  readonly processes: readonly ((bucket: Bucket, free: Bucket) => Promise<unknown>)[];
  /** Looks at the bucket after every change; throws when something is wrong. */
  check(step: Step): Promise<void>;
  /** After all have ended. @param outcomes in the order of the processes */
  end(outcomes: readonly PromiseSettledResult<unknown>[]): Promise<void>;
}

/** Calls whose order cannot matter to what is tested. */
export type IsAside = (step: Omit<Step, "who">) => boolean;

/** The processes of one run, each stopped before its next call. */
export class Stage {
  readonly #scene: Scene;
  readonly #isAside: IsAside;
  readonly #waiting: { step: Step; go: () => Promise<void>; stop: (error: Error) => void }[][] = [];
  readonly #running: Promise<unknown>[] = [];
  readonly #ended = new Set<number>();
  #aborted = false;
  #changed = () => {};

  constructor(scene: Scene, isAside: IsAside) {
    this.#scene = scene;
    this.#isAside = isAside;
    for (const [who, process] of scene.processes.entries()) {
      this.#waiting.push([]);
      const running = process(this.#bucketOf(who), scene.bucket).finally(() => {
        this.#ended.add(who);
        this.#changed();
      });
      running.catch(() => {});
      this.#running.push(running);
    }
  }

  /** @returns the next call of each that has not ended */
  async arrived(): Promise<Map<number, Step>> {
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
      await settled();
      const enabled = new Map<number, Step>();
      for (const [who, [first]] of this.#waiting.entries()) if (first) enabled.set(who, first.step);
      if (this.#waiting.every((queue, who) => queue.length > 0 || this.#ended.has(who))) return enabled;
      await changed;
    }
  }

  async perform({ who, kind, key }: Step): Promise<void> {
    await this.#waiting[who]?.shift()?.go();
    if (kind === "write" || kind === "remove") await this.#scene.check({ who, kind, key });
  }

  outcomes(): Promise<PromiseSettledResult<unknown>[]> {
    return Promise.allSettled(this.#running);
  }

  async abort(): Promise<void> {
    this.#aborted = true;
    for (const queue of this.#waiting) for (const { stop } of queue.splice(0)) stop(new Error("aborted"));
    await this.outcomes();
  }

  #turn<T>(step: Step, act: () => Promise<T>): Promise<T> {
    if (this.#aborted) return Promise.reject(new Error("aborted"));
    if (this.#isAside(step)) return act();
    return new Promise<T>((resolve, reject) => {
      const go = () => act().then(resolve, reject);
      this.#waiting[step.who]?.push({ step, go, stop: reject });
      this.#changed();
    });
  }

  #bucketOf(who: number): Bucket {
    const { bucket } = this.#scene;
    const turn = this.#turn.bind(this);
    return wrapBucket(bucket, {
      head: (key, options) => turn({ who, kind: "head", key }, () => bucket.head(key, options)),
      read: (key, options) =>
        turn({ who, kind: "read", key }, async (): Promise<Body | undefined> => {
          const body = await bucket.read(key, options);
          if (body === undefined) return undefined;
          return { entry: body.entry, content: contentOf(await collect(body.content, 1 << 24)) };
        }),
      write: (key, source, options) =>
        turn({ who, kind: "write", key }, () => bucket.write(key, source, options)),
      async remove(keys, options) {
        for (const key of keys) await turn({ who, kind: "remove", key }, () => bucket.remove([key], options));
      },
      async *list(prefix, options) {
        yield* await turn({ who, kind: "list", key: prefix }, async () => {
          const entries: Entry[] = [];
          for await (const entry of bucket.list(prefix, options)) entries.push(entry);
          return entries;
        });
      },
    });
  }
}
