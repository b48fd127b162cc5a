/** A wrapper that tries again what failed in passing at a store that stands on no bucket. */

import type { CallOptions } from "../bucket/bucket.js";
import type { RetryOptions } from "../bucket/options.js";
import { retrying } from "../bucket/retry.js";
import type { ObjectStore, StoreListOptions } from "./store.js";

/**
 * Every operation is tried again as a whole while it fails with `unavailable`; a put is safe to repeat, since what
 * is put can be opened again. Content and listings that break once they have begun are not taken up.
 */
export function retriedStore(store: ObjectStore, options: RetryOptions = {}): ObjectStore {
  const again = <T>(act: () => Promise<T>, what: string, call?: CallOptions): Promise<T> =>
    retrying(act, options, `${store.name} ${what}`, call?.signal);
  return {
    ...store,
    stat: (oid, call) => again(() => store.stat(oid, call), oid, call),
    get: (oid, call) => again(() => store.get(oid, call), oid, call),
    put: (object, call) => again(() => store.put(object, call), object.info.oid, call),
    verify: (oid, call) => again(() => store.verify(oid, call), oid, call),
    async *list(call?: StoreListOptions) {
      // A generator that has thrown is done: what comes before its first entry is tried again with a new one.
      const begin = async () => {
        const entries = store.list(call)[Symbol.asyncIterator]();
        return { entries, first: await entries.next() };
      };
      const { entries, first } = await again(begin, "list", call);
      try {
        for (let step = first; !step.done; step = await entries.next()) yield step.value;
      } finally {
        await entries.return?.();
      }
    },
  };
}
