/** A wrapper that tries again what failed in passing, and takes broken bodies and listings up where they broke. */

import { isTransient, OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { Body, Bucket, CallOptions, Entry, ListOptions, ReadOptions } from "./bucket.js";
import { pause, resolveRange } from "./flow.js";
import type { RetryOptions } from "./options.js";
import { wrapBucket } from "./wrap.js";

/** A body that got this much further than its last break has earned its tries anew. */
const PROGRESS = 64 * 1024;

/**
 * Tries again what failed with `unavailable`, after a growing pause with jitter or what `Retry-After` asks for.
 * Nothing is handed on twice: a body that breaks is resumed by a ranged read of the same version, else it fails.
 * A conditional write whose first try may have gone through unheard never claims to have lost: it fails.
 */
export function withRetry(bucket: Bucket, options: RetryOptions = {}): Bucket {
  const retry = <T>(act: () => Promise<T>, call: CallOptions | undefined, what: string) =>
    retrying(act, options, what, call?.signal);
  const what = (key: string) => `${bucket.name} ${key}`;
  return wrapBucket(bucket, {
    head: (key, call) => retry(() => bucket.head(key, call), call, what(key)),
    remove: (keys, call) => retry(() => bucket.remove(keys, call), call, what(keys[0] ?? "")),
    copy: (from, to, call) => retry(() => bucket.copy(from, to, call), call, what(to)),
    ...(bucket.removeUnfinished && {
      removeUnfinished: (prefix, before, call) =>
        retry(async () => (await bucket.removeUnfinished?.(prefix, before, call)) ?? 0, call, what(prefix)),
    }),
    conditionalWrites: (call) => retry(() => bucket.conditionalWrites(call), call, bucket.name),
    list: (prefix, call = {}) => resumedListing(bucket, prefix, call, options),

    write(key, source, call) {
      let tries = 0;
      const write = async () => {
        const outcome = await bucket.write(key, source, call);
        if (outcome.written || tries === 0) return outcome;
        throw new OdbError(
          "conflict",
          `${what(key)}: the connection broke, and it is not known whether this or another write got there first; look before you try again`,
        );
      };
      return retry(() => write().finally(() => tries++), call, what(key));
    },

    async read(key, call = {}) {
      const body = await retry(() => bucket.read(key, call), call, what(key));
      if (body === undefined) return undefined;
      const reopen = (range: { start: number; end: number }) =>
        retry(() => bucket.read(key, { ...call, range }), call, what(key));
      return { entry: body.entry, content: resumedBody(body, reopen, call, options, what(key)) };
    },
  });
}

/**
 * Runs `act` until it does not fail with `unavailable`, or the tries are spent.
 *
 * @param what names it when the signal ends a pause
 */
export async function retrying<T>(
  act: () => Promise<T>,
  options: RetryOptions,
  what: string,
  signal?: AbortSignal,
): Promise<T> {
  const tries = patience(options, what, signal);
  for (;;) {
    try {
      return await act();
    } catch (error) {
      await tries.afterFailure(error);
    }
  }
}

async function* resumedBody(
  first: Body,
  reopen: (range: { start: number; end: number }) => Promise<Body | undefined>,
  call: ReadOptions,
  options: RetryOptions,
  what: string,
): Content {
  const { start, end } = resolveRange(call.range, first.entry.size);
  let tries = patience(options, what, call.signal);
  let body = first;
  for (let at = start, brokeAt = start; ; ) {
    try {
      for await (const chunk of body.content) {
        at += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      if (at - brokeAt > PROGRESS) tries = patience(options, what, call.signal);
      brokeAt = at;
      const broken = at < end ? asBrokenConnection(error) : error;
      await tries.afterFailure(broken);
      // Without a version to compare, the rest might be another's.
      if (first.entry.etag === undefined) throw broken;
      body = await sameVersion(await reopen({ start: at, end }), first.entry, error);
    }
  }
}

/** A body that ends early is `integrity` to whoever reads it once; here it is no fault of the object. */
function asBrokenConnection(error: unknown): unknown {
  if (!(error instanceof OdbError) || error.code !== "integrity") return error;
  return new OdbError("unavailable", `${error.message}: try again later`, { cause: error });
}

/** @throws `broken`, the failure that made us read again, when the rest would be of another version */
async function sameVersion(body: Body | undefined, first: Entry, broken: unknown): Promise<Body> {
  if (body === undefined) throw broken;
  const { etag, size } = body.entry;
  if (etag === first.etag && size === first.size) return body;
  for await (const _ of body.content) break;
  throw broken;
}

async function* resumedListing(
  bucket: Bucket,
  prefix: string,
  call: ListOptions,
  options: RetryOptions,
): AsyncIterable<Entry> {
  const what = `${bucket.name} ${prefix}`;
  let tries = patience(options, what, call.signal);
  let { after } = call;
  for (;;) {
    try {
      for await (const entry of bucket.list(prefix, { ...call, ...(after !== undefined && { after }) })) {
        if (entry.key !== after) tries = patience(options, what, call.signal);
        after = entry.key;
        yield entry;
      }
      return;
    } catch (error) {
      await tries.afterFailure(error);
    }
  }
}

interface Patience {
  /** Waits before the next try, or throws `error` when there is to be none. */
  afterFailure(error: unknown): Promise<void>;
}

function patience(options: RetryOptions, what: string, signal: AbortSignal | undefined): Patience {
  const { attempts = 5, baseMs = 200, maxMs = 20_000, withinMs = 60_000 } = options;
  let failures = 0;
  let firstAt: number | undefined;
  return {
    async afterFailure(error) {
      const asked = (error instanceof OdbError && error.retryAfterMs) || 0;
      firstAt ??= performance.now();
      const isLate = performance.now() - firstAt >= withinMs;
      if (!isTransient(error) || ++failures >= attempts || isLate || asked > maxMs) throw error;
      const backoff = Math.min(maxMs, baseMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
      await pause(Math.max(asked, backoff), signal, what);
    },
  };
}
