/** Taking away what no reader can need any more: in steps, a grace period after each. */

import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { changePacks } from "./publish.js";
import type { MirrorRecord, Since } from "./record.js";
import { settled } from "./run.js";

/** Where unfinished things lie. */
export const temporaryPrefix = "tmp/";

/** What the record is to say after a cleanup. */
export type Kept = Pick<MirrorRecord, "superseded" | "unlisted">;

/** Whether the record names something that has had its time. */
export function isDue({ superseded, unlisted }: Kept, graceMs: number, now: number): boolean {
  return [...Object.values(superseded), ...Object.values(unlisted)].some((time) =>
    isOver(time, graceMs, now),
  );
}

/**
 * First a superseded pack leaves the table, then, once nobody can go by the old table any more, the bucket. Packs that
 * an interrupted run left go a grace period after they are seen first; temporary keys and unfinished uploads, which may be
 * those of a run under way, a grace period after they were written last.
 *
 * @returns what is left to wait for
 */
export async function cleanUp(
  bucket: Bucket,
  kept: Kept,
  graceMs: number,
  options: CallOptions,
): Promise<Kept> {
  const now = Date.now();
  const before = new Date(now - graceMs);
  const retired = Object.keys(kept.superseded).filter((name) => isOver(kept.superseded[name], graceMs, now));
  const [names, present, temporary, ...unfinished] = await settled([
    changePacks(bucket, (names) => names.filter((name) => !retired.includes(name)), options),
    packsPresent(bucket, options),
    temporaryKeys(bucket, options),
    removeUnfinished(bucket, "objects/pack/", before, options),
    removeUnfinished(bucket, temporaryPrefix, before, options),
  ]);
  const listed = new Set(names);
  const unlisted: Record<string, string> = {};
  const gone: string[] = [];
  for (const [name, keys] of present) {
    if (listed.has(name)) continue;
    const since = kept.unlisted[name] ?? new Date(now).toISOString();
    if (isOver(since, graceMs, now)) gone.push(...keys);
    else unlisted[name] = since;
  }
  let young = unfinished.reduce((sum, count) => sum + count, 0);
  for (const { key, modified } of temporary) {
    if (modified !== undefined && modified <= before) gone.push(key);
    else young++;
  }
  // So that it is looked at again, also when nothing else is new by then.
  if (young > 0) unlisted[temporaryPrefix] = stillWaiting(kept.unlisted[temporaryPrefix], graceMs, now);
  // Not while nobody may be left who read the table before: their time has run since they left it.
  if (gone.length > 0) await bucket.remove(gone, options);
  const superseded = Object.entries(kept.superseded).filter(([name]) => listed.has(name));
  return { superseded: Object.fromEntries(superseded), unlisted };
}

/** Every pack, half written ones too, and its keys. */
async function packsPresent(bucket: Bucket, options: CallOptions): Promise<Map<string, string[]>> {
  const present = new Map<string, string[]>();
  for await (const { key } of bucket.list("objects/pack/", options)) {
    const name = /^objects\/pack\/(pack-[0-9a-f]+)\.(?:pack|idx)$/.exec(key)?.[1];
    if (name === undefined) continue;
    present.set(name, [...(present.get(name) ?? []), key]);
  }
  return present;
}

async function temporaryKeys(bucket: Bucket, options: CallOptions): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of bucket.list(temporaryPrefix, options)) entries.push(entry);
  return entries;
}

async function removeUnfinished(
  bucket: Bucket,
  prefix: string,
  before: Date,
  options: CallOptions,
): Promise<number> {
  return (await bucket.removeUnfinished?.(prefix, before, options)) ?? 0;
}

/** Since when; from now on, when that was a grace period ago. */
function stillWaiting(since: string | undefined, graceMs: number, now: number): string {
  return since === undefined || isOver(since, graceMs, now) ? new Date(now).toISOString() : since;
}

function isOver(since: string | undefined, graceMs: number, now: number): boolean {
  return since !== undefined && now - Date.parse(since) >= graceMs;
}

/** The names with a time each: what they have already, or now. */
export function since(names: readonly string[], before: Since): Since {
  const now = new Date().toISOString();
  return Object.fromEntries(names.map((name) => [name, before[name] ?? now]));
}
