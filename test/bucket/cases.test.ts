import { AssertionError } from "node:assert";
import { expect, it } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { wrapBucket } from "../../src/bucket/wrap.js";
import { type BucketSubject, bucketCases } from "../../src/conformance/bucket-cases.js";
import { OdbError } from "../../src/errors.js";
import { type Content, collect, contentOf, type Source, sourceOf } from "../../src/object/content.js";

const MiB = 1 << 20;
type Break = (good: Bucket) => Partial<Bucket>;

/** The source's bytes whatever their number, and whether its reading failed. */
async function swallow(source: Source): Promise<Source> {
  const parts: Uint8Array[] = [];
  try {
    for await (const chunk of source.open()) parts.push(chunk);
  } catch {
    // The fault: a failure is taken for the end.
  }
  return sourceOf(Buffer.concat(parts));
}

/** Changes what a read gives. */
const reading =
  (change: (content: Content, size: number) => Content): Break =>
  (good) => ({
    async read(key, options) {
      const body = await good.read(key, options);
      return body && { ...body, content: change(body.content, body.entry.size) };
    },
  });

async function* without(content: Content, tail: number, size: number): Content {
  const bytes = await collect(content, 64 * MiB);
  yield* contentOf(bytes.length === size ? bytes.subarray(0, Math.max(0, size - tail)) : bytes);
}

const takesAnyLength: Break = (good) => ({
  write: async (key, source, options) => good.write(key, await swallow(source), options),
});
const ignoresConditions: Break = (good) => ({ write: (key, source) => good.write(key, source) });
const looksThenWrites: Break = (good) => ({
  async write(key, source, { ifAbsent, ifMatch } = {}) {
    const found = await good.head(key);
    await new Promise((resolve) => setTimeout(resolve, 1));
    if ((ifAbsent && found) || (ifMatch !== undefined && found?.etag !== ifMatch)) return { written: false };
    return good.write(key, source);
  },
});
const listing =
  (change: (keys: string[], prefix: string, after: string) => string[]): Break =>
  (good) => ({
    async *list(prefix, { after = "" } = {}) {
      const keys: string[] = [];
      for await (const { key } of good.list("")) keys.push(key);
      for (const key of change(keys, prefix, after)) yield { key, size: (await good.head(key))?.size ?? 0 };
    },
  });
const from = (keys: string[], prefix: string, after: string) =>
  keys.filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
/** One slot, which a reader or lister that leaves early never gives back. */
const leaky =
  (what: "read" | "list"): Break =>
  (good) => {
    let left = 20;
    const taken = () => {
      if (left-- <= 0) throw new OdbError("unavailable", "no slot free");
    };
    return what === "read"
      ? {
          async read(key, options) {
            taken();
            const body = await good.read(key, options);
            return body && { ...body, content: giveBack(body.content, () => left++) };
          },
        }
      : {
          async *list(prefix, options) {
            taken();
            yield* good.list(prefix, options);
            left++;
          },
        };
  };
async function* giveBack(content: Content, free: () => void): Content {
  yield* content;
  free();
}

/** For each case a bucket that is wrong in the way that the case is there to find. */
const faults: Record<string, Break> = {
  absent: (good) => ({
    read: async (key) => (await good.read(key)) ?? { entry: { key, size: 0 }, content: contentOf() },
  }),
  "folder-is-absent": (good) => ({
    async head(key) {
      for await (const entry of good.list(`${key}/`)) return { ...entry, key };
      return good.head(key);
    },
  }),
  ...Object.fromEntries(
    [1, 65_516, 65_517, MiB - 1, MiB + 1].map((size) => [
      `size-${size}`,
      reading((content, all) => without(content, all === size ? 1 : 0, all)),
    ]),
  ),
  "size-0": (good) => ({ head: async (key) => ((await good.head(key))?.size ? good.head(key) : undefined) }),
  "big-20-mib": reading(async function* (content) {
    yield await collect(content, 64 * MiB);
  }),
  ranges: (good) => ({
    read: (key, { range } = {}) =>
      good.read(
        key,
        range ? { range: { ...range, ...(range.end !== undefined && { end: range.end + 1 }) } } : {},
      ),
  }),
  "range-of-empty-and-absent": (good) => ({
    async read(key, options = {}) {
      if (options.range && (await good.head(key))?.size === 0) throw new OdbError("invalid", "416");
      return good.read(key, options);
    },
  }),
  "bad-range": (good) => ({ read: (key) => good.read(key) }),
  "key-escapes": (good) => ({ head: async (key) => (key.includes("..") ? undefined : good.head(key)) }),
  "odd-keys": (good) => ({
    write: (key, source, options) => good.write(key.split("?")[0] ?? key, source, options),
  }),
  "reader-returns-early": leaky("read"),
  "consumer-throws": leaky("read"),
  "list-left-early": leaky("list"),
  "abort-signal": (good) => ({ read: (key, { signal: _, ...options } = {}) => good.read(key, options) }),
  "overwrite-while-reading": (good) => ({
    async read(key, options) {
      const entry = await good.head(key);
      if (!entry || entry.size < MiB) return good.read(key, options);
      const pieces = async function* () {
        for (let start = 0; start < entry.size; start += MiB) {
          yield* (await good.read(key, { range: { start, end: start + MiB } }))?.content ?? [];
        }
      };
      return { entry, content: pieces() };
    },
  }),
  "put-twice": (good) => ({
    write: async (key, source, options) =>
      (await good.head(key)) ? { written: true } : good.write(key, source, options),
  }),
  "etags-differ": (good) => ({
    async head(key) {
      const entry = await good.head(key);
      return entry && { ...entry, etag: `${entry.size}` };
    },
  }),
  "source-fails-midway": takesAnyLength,
  "source-too-short": takesAnyLength,
  "source-too-long": takesAnyLength,
  "source-empty-not-said": takesAnyLength,
  "big-source-too-short": takesAnyLength,
  "write-aborted-midway": (good) => ({
    write: (key, source, { signal: _, ...options } = {}) => good.write(key, source, options),
  }),
  "odd-chunks": (good) => ({
    async write(key, source) {
      // An empty chunk is taken for the end.
      const parts: Uint8Array[] = [];
      for await (const chunk of source.open()) {
        if (chunk.length === 0) break;
        parts.push(chunk);
      }
      return good.write(key, sourceOf(Buffer.concat(parts)));
    },
  }),
  "sha256-kept": (good) => {
    const kept = new Map<string, string>();
    return {
      write(key, source, options = {}) {
        if (options.sha256) kept.set(key, options.sha256);
        return good.write(key, source, options);
      },
      async head(key) {
        const [entry, sha256] = [await good.head(key), kept.get(key)];
        return entry && { ...entry, ...(sha256 && { sha256 }) };
      },
    };
  },
  remove: (good) => ({ remove: async (keys) => good.remove(keys.slice(0, 1)) }),
  copy: (good) => ({
    copy: async (a, b) => ((await good.head(b)) ? true : good.copy(a, b)),
  }),
  "file-source": (good) => ({
    async write(key, source, options) {
      const outcome = await good.write(key, source, options);
      if (source.file) (await import("node:fs")).rmSync(source.file.path, { force: true });
      return outcome;
    },
  }),
  "file-source-of-other-size": takesAnyLength,
  "list-entries": (good) => ({
    async *list(prefix) {
      for await (const entry of good.list(prefix)) yield { ...entry, size: 0 };
    },
  }),
  "list-order": listing((keys, prefix, after) => from(keys, prefix, after).sort()),
  "list-prefix": listing((keys, prefix, after) => from(keys, prefix.replace(/[^/]*$/, ""), after)),
  "list-after": listing((keys, prefix) => from(keys, prefix, "")),
  "list-over-1000": listing((keys, prefix, after) => from(keys, prefix, after).slice(0, 1000)),
  "use-while-listing": (good) => {
    let busy = false;
    return {
      async *list(prefix) {
        busy = true;
        yield* good.list(prefix);
        busy = false;
      },
      async head(key) {
        if (busy) throw new OdbError("unavailable", "a listing is under way");
        return good.head(key);
      },
    };
  },
  "if-absent": ignoresConditions,
  "if-match": ignoresConditions,
  "if-match-of-absent": (good) => ({
    write: async (key, source, options) =>
      (await good.head(key)) ? good.write(key, source, options) : good.write(key, source),
  }),
  "refused-leaves-source": ignoresConditions,
  "two-conditions": (good) => ({
    write: (key, source, { ifMatch: _, ...options } = {}) => good.write(key, source, options),
  }),
  "condition-not-ignored": (good) => ({ ...ignoresConditions(good), conditionalWrites: async () => false }),
  "race-if-absent": looksThenWrites,
  "race-if-match": looksThenWrites,
  counter: looksThenWrites,
  "parallel-put-same-key": (good) => ({
    async write(key, source) {
      const [first, rest] = [source.size >> 1, await collect(source.open(), MiB)];
      await new Promise((resolve) => setTimeout(resolve, 1));
      await good.write(key, sourceOf(rest.subarray(0, first)));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      const there = (await good.read(key))?.content ?? [];
      return good.write(
        key,
        sourceOf(Buffer.concat([await collect(there as Content, MiB), rest.subarray(first)])),
      );
    },
  }),
};

function subjectFor(name: string): BucketSubject {
  const good = memoryBucket();
  // Takes a read as its own cache has it: another's write is not seen.
  if (name === "seen-by-others") return { bucket: good, other: memoryBucket() };
  if (name === "denied-is-not-absent") return { bucket: good, denied: memoryBucket() };
  const fault = faults[name];
  if (!fault) throw new Error(`no broken bucket for the case ${name}`);
  return { bucket: wrapBucket(good, fault(good)) };
}

it.each(bucketCases.map(({ name }) => name))(
  "%s finds the bucket that is broken in its way",
  async (name) => {
    const found = bucketCases.find((each) => each.name === name);
    const subject = subjectFor(name);
    const error: unknown = await found?.run(subject).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    // By its own judgement or by what the bucket said: not by a slip in the case or in the broken bucket.
    expect(error instanceof AssertionError || error instanceof OdbError, String(error)).toBe(true);
  },
);
