/** A bucket in memory: for tests, and the plainest picture of the contract. */

import { collect, contentOf } from "../object/content.js";
import type { Bucket, CallOptions, Entry, ListOptions, ReadOptions, WriteOptions } from "./bucket.js";
import { checkConditions, checkSignal, exactly, resolveRange, untilAborted } from "./flow.js";
import { checkKey, checkPrefix, compareKeys } from "./keys.js";

/** Chunks of the size that other buckets give. */
const CHUNK = 1 << 20;

interface Stored {
  readonly entry: Entry;
  readonly bytes: Buffer;
}

/** An empty bucket, gone with the process. */
export function memoryBucket(name = "memory:"): Bucket {
  const stored = new Map<string, Stored>();
  let writes = 0;

  const put = (key: string, bytes: Buffer, sha256?: string) => {
    const etag = `${++writes}`;
    const entry = { key, size: bytes.length, etag, modified: new Date(), ...(sha256 && { sha256 }) };
    stored.set(key, { entry, bytes });
    return { written: true, etag } as const;
  };
  const enter = (keys: readonly string[], options: CallOptions | undefined) => {
    for (const key of keys) checkKey(key);
    checkSignal(options?.signal, `${name} ${keys[0] ?? ""}`);
  };

  return {
    name,
    recordsSha256: true,

    async head(key, options) {
      enter([key], options);
      return stored.get(key)?.entry;
    },

    async read(key, options: ReadOptions = {}) {
      enter([key], options);
      const found = stored.get(key);
      if (!found) return undefined;
      const { start, end } = resolveRange(options.range, found.bytes.length);
      const content = contentOf(...chunksOf(found.bytes.subarray(start, end)));
      return { entry: found.entry, content: untilAborted(content, options.signal, `${name} ${key}`) };
    },

    async write(key, source, options: WriteOptions = {}) {
      enter([key], options);
      const what = `${name} ${key}`;
      checkConditions(options, what);
      const content = untilAborted(exactly(source.open(), source.size, what), options.signal, what);
      const bytes = Buffer.from(await collect(content, source.size));
      const found = stored.get(key);
      if (options.ifAbsent && found) return { written: false };
      if (options.ifMatch !== undefined && found?.entry.etag !== options.ifMatch) return { written: false };
      return put(key, bytes, options.sha256);
    },

    async writeStream(key, content, options) {
      enter([key], options);
      const bytes = Buffer.from(await collect(content, Number.MAX_SAFE_INTEGER));
      put(key, bytes);
      return bytes.length;
    },

    async remove(keys, options) {
      enter(keys, options);
      for (const key of keys) stored.delete(key);
    },

    async *list(prefix, options: ListOptions = {}) {
      checkPrefix(prefix);
      const { after = "", signal } = options;
      for (const key of [...stored.keys()].sort(compareKeys)) {
        checkSignal(signal, `${name} ${prefix}`);
        const entry = stored.get(key)?.entry;
        if (entry && key.startsWith(prefix) && compareKeys(key, after) > 0) yield listed(entry);
      }
    },

    async copy(from, to, options) {
      enter([from, to], options);
      const found = stored.get(from);
      if (found) put(to, found.bytes, found.entry.sha256);
      return found !== undefined;
    },

    async conditionalWrites() {
      return true;
    },

    async close() {},
  };
}

/** What a listing knows: a recorded checksum is for `head` and `read`. */
function listed({ sha256: _, ...entry }: Entry): Entry {
  return entry;
}

/** Copies, so that no consumer can change what is stored. */
function* chunksOf(bytes: Buffer): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK) yield Buffer.from(bytes.subarray(at, at + CHUNK));
}
