/** Parts of an upload or a copy: a bounded number at a time, each tried again by itself when the service falters. */

import { isTransient, OdbError } from "../errors.js";
import { pause } from "./flow.js";

/** Parts under way at once: on one machine more gain nothing, and each holds a few MiB. */
const PARALLEL = 4;

/** Tries of one part. The whole write is tried again above, but that would hash what is there already. */
const TRIES = 4;

const FIRST_PAUSE_MS = 200;

const LONGEST_PAUSE_MS = 20_000;

/** Runs `work` on every item, a few at once. The first failure stops the others and is thrown when all have ended. */
export async function inParallel<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const joined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const queue = items.values();
  let failed: { error: unknown } | undefined;
  const worker = async () => {
    try {
      for (const item of queue) await work(item, joined);
    } catch (error) {
      failed ??= { error };
      stop.abort();
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker));
  if (failed) throw failed.error;
}

/** Tries a passing failure a few times, with growing pauses or as long as the service asks for. */
export async function retried<T>(what: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isTransient(error) || tried >= TRIES) throw error;
      const asked = error instanceof OdbError ? (error.retryAfterMs ?? 0) : 0;
      if (asked > LONGEST_PAUSE_MS) throw error;
      await pause(Math.max(asked, FIRST_PAUSE_MS * 2 ** (tried - 1)), signal, what);
    }
  }
}
