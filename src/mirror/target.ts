/** What a target bucket has: the tables that its readers go by, and our record. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import { type MirrorRecord, parseRecord, recordKey } from "./record.js";
import { parseInfoRefs, type Ref } from "./refs.js";

/** The keys that readers over plain HTTP go by (gitrepository-layout(5)). */
export const refsKey = "info/refs";
export const packsKey = "objects/info/packs";
export const headKey = "HEAD";

/** A key that was read: absent ones have no etag. */
export interface Table {
  readonly bytes: Buffer;
  readonly etag?: string;
}

/** A target as it is before a run. */
export interface Target {
  readonly infoRefs: Table | undefined;
  readonly refs: readonly Ref[];
  readonly packs: readonly string[];
  /** What says which packs there are. */
  readonly packTable: Table | undefined;
  readonly head: Buffer | undefined;
  readonly record: MirrorRecord | undefined;
  readonly recordEtag: string | undefined;
}

/** The most that is read of a table, in bytes. */
const LIMITS = { refs: 256 * 1024 * 1024, packs: 16 * 1024 * 1024, head: 4096 };

/** Reads all of it at once: four requests. */
export async function readTarget(bucket: Bucket, options: CallOptions): Promise<Target> {
  const [infoRefs, packs, head, record] = await Promise.all([
    readTable(bucket, refsKey, LIMITS.refs, options),
    readTable(bucket, packsKey, LIMITS.packs, options),
    readTable(bucket, headKey, LIMITS.head, options),
    readTable(bucket, recordKey, LIMITS.packs, options),
  ]);
  return {
    infoRefs,
    refs: infoRefs ? parseInfoRefs(infoRefs.bytes, `${bucket.name}/${refsKey}`) : [],
    packs: packs ? parsePacks(packs.bytes) : [],
    packTable: packs,
    head: head?.bytes,
    record: record && parseRecord(record.bytes, `${bucket.name}/${recordKey}`),
    recordEtag: record?.etag,
  };
}

/** @returns undefined when it is absent */
export async function readTable(
  bucket: Bucket,
  key: string,
  limit: number,
  options: CallOptions,
): Promise<Table | undefined> {
  const body = await bucket.read(key, options);
  if (body === undefined) return undefined;
  if (body.entry.size > limit) {
    for await (const _ of body.content) break;
    throw new OdbError("config", `${bucket.name}/${key} has ${body.entry.size} bytes: that is no such table`);
  }
  const bytes = await collect(body.content, limit);
  return { bytes, ...(body.entry.etag !== undefined && { etag: body.entry.etag }) };
}

/** Lines `P pack-<hex>.pack`; others are for later versions of git. */
export function parsePacks(bytes: Buffer): string[] {
  const lines = bytes.toString("latin1").split("\n");
  return lines.flatMap((line) => /^P (pack-(?:[0-9a-f]{40}|[0-9a-f]{64}))\.pack$/.exec(line)?.[1] ?? []);
}

/** The table: a reader tries the last pack first (git's http.c puts each before those it has). */
export function formatPacks(names: readonly string[]): Buffer {
  return Buffer.from(`${names.map((name) => `P ${name}.pack\n`).join("")}\n`);
}

/**
 * Whether anything at all is in the bucket. A bucket that is not there yet holds nothing.
 */
export async function isEmpty(bucket: Bucket, options: CallOptions): Promise<boolean> {
  for await (const _ of bucket.list("", options)) return false;
  return true;
}
