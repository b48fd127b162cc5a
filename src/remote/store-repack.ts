/** Finds what the refs of a serverless repository need, in a repository of our own, and makes one pack of it. */

import { join } from "node:path";
import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { type PackIndex, parseIndex } from "../pack/idx.js";
import type { Repository } from "../repo/git.js";
import { openScratchRepository } from "../repo/scratch.js";
import { type BucketPack, listPacks, packKey } from "../store/bucket-packs.js";
import type { BucketSettings } from "../store/settings.js";
import { fetchPacks } from "./fetch-packs.js";
import { privateFolder } from "./private-folder.js";
import { isBeingRemoved, packObjects, uploadFiles } from "./push-upload.js";
import { readRange } from "./read-ranges.js";
import type { RefTable } from "./refs-object.js";
import { objectKey } from "./repository.js";
import { walkObjects } from "./walk.js";

/** What is needed, and the packs that hold it. */
export interface Packing {
  /** Every object that a ref reaches, and those that metadata refs name. */
  readonly needed: ReadonlySet<ObjectId>;
  /** Names of packs that must stay. */
  readonly kept: ReadonlySet<string>;
  /** How many packs there were. */
  readonly before: number;
  /** Whether one pack was made of them, or would be. */
  readonly isNew: boolean;
}

/** What is repacked. */
export interface Repacking {
  readonly bucket: Bucket;
  readonly settings: BucketSettings;
  /** Of the bucket, listed before the refs were read. */
  readonly entries: readonly Entry[];
  readonly table: RefTable;
  /** What other runs may be removing: it counts for nothing. */
  readonly doomed: ReadonlySet<string>;
  readonly call: CallOptions;
}

/**
 * Packs all that the refs reach into one pack, unless that is so already.
 *
 * @throws OdbError integrity, when an object that a ref reaches is not there
 */
export async function repackBucket(repacking: Repacking, dryRun: boolean): Promise<Packing> {
  const { bucket, settings, entries, table, call } = repacking;
  const packs = await listPacks(bucket, call);
  const listed = new Set(entries.map(({ key }) => key));
  // A push at this moment may have brought a pack whose refs we have not seen.
  const later = packs.filter(({ name }) => !listed.has(packKey(name, "idx"))).map(({ name }) => name);
  const needed = namedByMetadata(table);
  if (table.refs.size === 0) return { needed, kept: new Set(later), before: packs.length, isNew: false };
  await using repo = await openScratchRepository(settings.hash);
  const how = { cloning: true, everything: true, withoutBlobs: false, progress: false, strict: false };
  const fetch = { repo, bucket, ...how, ...call };
  if (packs.length > 0) await fetchPacks(fetch, [...table.refs.values()]);
  const { lines, missing } = await reachable(repo, table, bucket);
  await checkThere(repacking, missing);
  for (const line of lines) needed.add(oidOf(line));
  for (const oid of missing) needed.add(oid);
  const whole = await findWhole(repacking, packs, lines);
  if (whole !== undefined || packs.length === 0) {
    const kept = new Set(whole === undefined ? later : [...later, whole]);
    return { needed, kept, before: packs.length, isNew: false };
  }
  if (dryRun) return { needed, kept: new Set(later), before: packs.length, isNew: true };
  const name = await uploadRepacked(repacking, repo, lines, packs);
  const kept = name === undefined ? packs.map((pack) => pack.name) : [...later, name];
  return { needed, kept: new Set(kept), before: packs.length, isNew: name !== undefined };
}

/** The pack that holds just what is reachable, if there is one: packing anew would not always give the same name. */
async function findWhole(
  { bucket, settings: { hash }, doomed, call }: Repacking,
  packs: readonly BucketPack[],
  lines: readonly string[],
): Promise<string | undefined> {
  const wanted = new Set(lines.map(oidOf));
  for (const { name, indexSize } of packs) {
    if (isBeingRemoved(doomed, name)) continue;
    const key = packKey(name, "idx");
    const bytes = await readRange(bucket, { key, start: 0, end: indexSize }, call);
    const { index } = await parseIndex(bytes, hash, `${bucket.name}/${key}`);
    if (index.count === wanted.size && (await holdsOnly(index, wanted))) return name;
  }
  return undefined;
}

async function holdsOnly(index: PackIndex, wanted: ReadonlySet<ObjectId>): Promise<boolean> {
  for await (const { oid } of index.entries()) if (!wanted.has(oid)) return false;
  return true;
}

function oidOf(line: string): ObjectId {
  return line.split(" ", 1)[0] as ObjectId;
}

/** `refs/odbs/<name>/<oid>` says that the bucket has this object. */
function namedByMetadata({ refs }: RefTable): Set<ObjectId> {
  const named = new Set<ObjectId>();
  for (const ref of refs.keys()) {
    const oid = /^refs\/odbs\/[^/]+\/([0-9a-f]+)$/.exec(ref)?.[1] ?? "";
    if (isObjectId(oid)) named.add(oid);
  }
  return named;
}

async function reachable(
  repo: Repository,
  { refs }: RefTable,
  bucket: Bucket,
): Promise<{ readonly lines: readonly string[]; readonly missing: readonly ObjectId[] }> {
  try {
    const { objects, missing } = await walkObjects(repo, new Set(refs.values()));
    return { lines: objects.map(({ line }) => line), missing };
  } catch (cause) {
    throw new OdbError("integrity", `${bucket.name}: its history is not whole, so nothing is removed`, {
      cause,
    });
  }
}

async function checkThere(
  { bucket, settings, entries, call }: Repacking,
  missing: readonly ObjectId[],
): Promise<void> {
  const listed = new Set(entries.map(({ key }) => key));
  for (const oid of missing) {
    const key = objectKey(settings, oid);
    // A push may have brought it since.
    if (listed.has(key) || (await bucket.head(key, call)) !== undefined) continue;
    throw new OdbError(
      "integrity",
      `${bucket.name} lacks object ${oid}, which its refs need: push it again from a clone that has it; nothing is removed`,
    );
  }
}

/** @returns the new pack's name; undefined when another run is removing one of this name */
async function uploadRepacked(
  { bucket, doomed, call }: Repacking,
  repo: Repository,
  lines: readonly string[],
  packs: readonly BucketPack[],
): Promise<string | undefined> {
  await using folder = privateFolder(repo.objectsDir);
  const path = await folder.path();
  const name = await packObjects(repo, lines, join(path, "pack"), false, call.signal);
  if (isBeingRemoved(doomed, name)) return undefined;
  const promisor = packs.some((pack) => pack.promisor);
  await uploadFiles(bucket, join(path, name), promisor, call);
  return name;
}
