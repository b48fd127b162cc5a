/**
 * `git odb gc --store`: few packs in the bucket of a serverless repository, and nothing that no ref needs. In two runs:
 * what one finds, a later one removes when the grace period is over (docs/serverless.md).
 */

import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { parseLooseKey } from "../store/loose-layout.js";
import { inParallel } from "../store/parallel.js";
import { parseRawKey } from "../store/raw-layout.js";
import { type BucketSettings, readSettings } from "../store/settings.js";
import { writeDerived } from "./derived.js";
import { type GcList, GRACE_MS, readGcLists, versionOf, writeGcList } from "./gc-list.js";
import { readRefs } from "./refs-object.js";
import { announceRemoval, type Removal, readDoomed } from "./removal.js";
import { type Packing, repackBucket } from "./store-repack.js";

/** Keys that are removed at the same time. */
const PARALLEL = 8;

/** Options of {@link collectStore}. */
export interface StoreGcOptions {
  /** Only look. */
  readonly dryRun: boolean;
  /** In milliseconds. Default 14 days. */
  readonly graceMs?: number;
  readonly signal?: AbortSignal;
}

/** What a run found and did; with `dryRun`, would have done. */
export interface StoreGcReport {
  /** Packs before, and whether they became one. */
  readonly packs: number;
  readonly repacked: boolean;
  /** Newly found to be needed by no ref: a later run removes them. */
  readonly found: readonly Entry[];
  /** Waiting from earlier runs. */
  readonly waiting: number;
  readonly removed: readonly Entry[];
}

/**
 * Collects. The bucket stays usable meanwhile: what may be removed is announced before the refs are read that decide
 * about it (removal.ts), so that no push relies on it.
 *
 * @throws OdbError unsupported, for a bucket that is no repository's alone, or when something is to be removed and it
 *   has no conditional writes; integrity, when history is not whole: nothing is removed then
 */
export async function collectStore(bucket: Bucket, options: StoreGcOptions): Promise<StoreGcReport> {
  const call: CallOptions = options.signal === undefined ? {} : { signal: options.signal };
  const graceMs = options.graceMs ?? GRACE_MS;
  const settings = await repositorySettings(bucket, call);
  // Listed before the refs are read: an object that is not in the list yet cannot be taken for one of no use.
  const entries = await listEntries(bucket, call);
  const lists = await readGcLists(bucket, call);
  const due = lists.filter(({ time }) => Date.now() - time.getTime() >= graceMs);
  const candidates = entries.filter((entry) => isListed(entry, due));
  const isRemoving = candidates.length > 0 && !options.dryRun;
  const removal = isRemoving ? await announceRemoval(bucket, candidates, graceMs, call) : undefined;
  const table = removal?.table ?? (await readRefs(bucket, call)).table;
  const doomed = removal?.others ?? (await readDoomed(bucket, table, call));
  const packing = await repackBucket({ bucket, settings, entries, table, doomed, call }, options.dryRun);
  const useless = entries.filter((entry) => isUseless(entry.key, settings, packing));
  const mayGo = new Set(candidates);
  const removable = useless.filter((entry) => mayGo.has(entry));
  const waiting = lists.filter((list) => !due.includes(list));
  const found = useless.filter((entry) => !mayGo.has(entry) && !isListed(entry, waiting));
  const report = { packs: packing.before, repacked: packing.isNew, found, waiting: waiting.length };
  if (options.dryRun) return { ...report, removed: removable };
  if (found.length > 0) await writeGcList(bucket, found, { graceMs, removing: false }, call);
  const goes = new Set(removable.map(({ key }) => key));
  if (packing.isNew || goes.size > 0) await writeDerived(bucket, call, goes);
  const removed = removal ? await remove(bucket, removable, removal, call) : [];
  await removal?.end();
  await bucket.remove(
    due.map(({ key }) => key),
    call,
  );
  return { ...report, removed };
}

async function repositorySettings(bucket: Bucket, call: CallOptions): Promise<BucketSettings> {
  const settings = await readSettings(bucket, call);
  if (settings?.kind === "repository") return settings;
  throw new OdbError(
    "unsupported",
    `${bucket.name} is no repository's alone: other repositories may need its objects, so nothing is removed`,
  );
}

async function listEntries(bucket: Bucket, call: CallOptions): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of bucket.list("objects/", call)) entries.push(entry);
  return entries;
}

/** Objects that no ref reaches, packs whose content is in another; what we do not know is left alone. */
function isUseless(key: string, { layout }: BucketSettings, packing: Packing): boolean {
  const pack = /^objects\/pack\/(pack-[0-9a-f]+)\.(?:pack|idx|promisor|rev|bitmap)$/.exec(key)?.[1];
  if (pack !== undefined) return !packing.kept.has(pack);
  const oid: ObjectId | undefined = layout === "raw" ? parseRawKey(key) : parseLooseKey(key);
  return oid !== undefined && !packing.needed.has(oid);
}

function isListed(entry: Entry, lists: readonly GcList[]): boolean {
  return lists.some(({ candidates }) => candidates.get(entry.key) === versionOf(entry));
}

/** Indexes first: a pack without one is not read. What was written again since it was listed is left. */
async function remove(
  bucket: Bucket,
  entries: readonly Entry[],
  removal: Removal,
  call: CallOptions,
): Promise<Entry[]> {
  const removed: Entry[] = [];
  const removeOne = async (entry: Entry) => {
    removal.checkTime();
    const now = await bucket.head(entry.key, call);
    if (now === undefined || versionOf(now) !== versionOf(entry)) return undefined;
    await bucket.remove([entry.key], call);
    return entry;
  };
  const isIndex = ({ key }: Entry) => key.endsWith(".idx");
  for (const some of [entries.filter(isIndex), entries.filter((entry) => !isIndex(entry))]) {
    for await (const entry of inParallel(some, PARALLEL, removeOne)) removed.push(entry);
  }
  return removed;
}
