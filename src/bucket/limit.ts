/** A wrapper that lets only so many operations of a bucket run at once, in the order they came. */

import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { Bucket, CallOptions } from "./bucket.js";
import { abortedError, checkSignal } from "./flow.js";
import { wrapBucket } from "./wrap.js";

/**
 * Limits a bucket to `limit` operations at once. A read holds its slot until its body ends, fails or is left, so
 * a caller that uses the bucket in the middle of a body needs a limit of two at least. A listing holds a slot only
 * while it fetches.
 */
export function withLimit(bucket: Bucket, limit: number): Bucket {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new OdbError("invalid", `concurrency ${limit}: expected a whole number from 1`);
  }
  const take = slots(limit, bucket.name);
  const limited = async <T>(call: () => Promise<T>, options: CallOptions | undefined): Promise<T> => {
    const free = await take(options?.signal);
    try {
      return await call();
    } finally {
      free();
    }
  };
  return wrapBucket(bucket, {
    head: (key, options) => limited(() => bucket.head(key, options), options),
    write: (key, source, options) => limited(() => bucket.write(key, source, options), options),
    remove: (keys, options) => limited(() => bucket.remove(keys, options), options),
    copy: (from, to, options) => limited(() => bucket.copy(from, to, options), options),
    conditionalWrites: (options) => limited(() => bucket.conditionalWrites(options), options),

    async read(key, options) {
      const free = await take(options?.signal);
      try {
        const body = await bucket.read(key, options);
        if (body === undefined) free();
        return body && { entry: body.entry, content: freeing(body.content, free) };
      } catch (error) {
        free();
        throw error;
      }
    },

    async *list(prefix, options) {
      const entries = bucket.list(prefix, options)[Symbol.asyncIterator]();
      const next = () => limited(() => entries.next(), options);
      try {
        for (let step = await next(); !step.done; step = await next()) yield step.value;
      } finally {
        await entries.return?.();
      }
    },
  });
}

async function* freeing(content: Content, free: () => void): Content {
  try {
    yield* content;
  } finally {
    free();
  }
}

/** @returns a function that waits for a slot and gives what frees it */
function slots(limit: number, name: string): (signal?: AbortSignal) => Promise<() => void> {
  let used = 0;
  const waiting: (() => void)[] = [];
  const free = () => {
    used--;
    waiting.shift()?.();
  };
  return async (signal) => {
    checkSignal(signal, name);
    if (used >= limit) await turn(waiting, signal, name);
    used++;
    let held = true;
    return () => {
      if (held) free();
      held = false;
    };
  };
}

function turn(waiting: (() => void)[], signal: AbortSignal | undefined, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      waiting.splice(waiting.indexOf(go), 1);
      reject(abortedError(name, signal?.reason));
    };
    const go = () => {
      signal?.removeEventListener("abort", stop);
      resolve();
    };
    waiting.push(go);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
