/** Finds what the refs of a serverless repository need, in a repository of our own, and makes one pack of it. */

import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { type PackIndex, parseIndex } from "../pack/idx.js";
import type { Repository } from "../repo/git.js";
import { openScratchRepository } from "../repo/scratch.js";
import type { BucketSettings } from "../store/settings.js";
import { fetchPacks } from "./fetch-packs.js";
import { fileSource, packObjects } from "./push-upload.js";
import { readRange } from "./read-ranges.js";
import { type RefTable, readRefs } from "./refs-object.js";
import { type BucketPack, listPacks, objectKey, packKey } from "./repository.js";

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

/**
 * Packs all that the refs reach into one pack, unless that is so already.
 *
 * @param entries of the bucket, listed before
 * @throws OdbError integrity, when an object that a ref reaches is not there
 */
export async function repackBucket(
  bucket: Bucket,
  settings: BucketSettings,
  entries: readonly Entry[],
  dryRun: boolean,
  call: CallOptions,
): Promise<Packing> {
  const { table } = await readRefs(bucket, call);
  const packs = await listPacks(bucket, call);
  const listed = new Set(entries.map(({ key }) => key));
  // A push at this moment may have brought a pack whose refs we have not seen.
  const later = packs.filter(({ name }) => !listed.has(packKey(name, "idx"))).map(({ name }) => name);
  const needed = namedByMetadata(table);
  if (table.refs.size === 0) return { needed, kept: new Set(later), before: packs.length, isNew: false };
  await using repo = await openScratchRepository(settings.hash);
  const fetch = { repo, bucket, cloning: true, progress: false, strict: false, ...call };
  if (packs.length > 0) await fetchPacks(fetch, [...table.refs.values()]);
  const { lines, missing } = await reachable(repo, table, bucket);
  checkThere(bucket, settings, listed, missing);
  for (const line of lines) needed.add(oidOf(line));
  for (const oid of missing) needed.add(oid);
  const whole = await findWhole(bucket, settings, packs, lines, call);
  if (whole !== undefined || packs.length === 0) {
    const kept = new Set(whole === undefined ? later : [...later, whole]);
    return { needed, kept, before: packs.length, isNew: false };
  }
  const name = dryRun ? undefined : await uploadRepacked(bucket, repo, lines, packs, call);
  return { needed, kept: new Set([...later, ...(name ? [name] : [])]), before: packs.length, isNew: true };
}

/** The pack that holds just what is reachable, if there is one: packing anew would not always give the same name. */
async function findWhole(
  bucket: Bucket,
  { hash }: BucketSettings,
  packs: readonly BucketPack[],
  lines: readonly string[],
  call: CallOptions,
): Promise<string | undefined> {
  const wanted = new Set(lines.map(oidOf));
  for (const { name, indexSize } of packs) {
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
  return line.slice(0, line.indexOf(" ")) as ObjectId;
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

interface Reachable {
  /** `<oid> <path>`, of what the packs hold. */
  readonly lines: readonly string[];
  /** Reached, and in no pack. */
  readonly missing: readonly ObjectId[];
}

async function reachable(repo: Repository, { refs }: RefTable, bucket: Bucket): Promise<Reachable> {
  const lines: string[] = [];
  const missing: ObjectId[] = [];
  const input = [...new Set(refs.values())].map((oid) => `${oid}\n`).join("");
  const args = ["rev-list", "--objects", "--missing=print", "--stdin"];
  try {
    for await (const record of repo.runRecords(args, { input, env: { GIT_NO_LAZY_FETCH: "1" } })) {
      const line = record.toString("latin1");
      if (line.startsWith("?")) missing.push(line.slice(1) as ObjectId);
      else lines.push(line.includes(" ") ? line : `${line} `);
    }
  } catch (cause) {
    throw new OdbError("integrity", `${bucket.name}: its history is not whole, so nothing is removed`, {
      cause,
    });
  }
  return { lines, missing };
}

function checkThere(
  bucket: Bucket,
  settings: BucketSettings,
  listed: ReadonlySet<string>,
  missing: readonly ObjectId[],
): void {
  const lost = missing.find((oid) => !listed.has(objectKey(settings, oid)));
  if (lost === undefined) return;
  throw new OdbError(
    "integrity",
    `${bucket.name} lacks object ${lost}, which its refs need: push it again from a clone that has it; nothing is removed`,
  );
}

/** @returns the new pack's name */
async function uploadRepacked(
  bucket: Bucket,
  repo: Repository,
  lines: readonly string[],
  packs: readonly BucketPack[],
  call: CallOptions,
): Promise<string> {
  const folder = await mkdtemp(join(repo.objectsDir, "tmp_objdir-odb-"));
  const name = await packObjects(repo, lines, join(folder, "pack"), false, call.signal);
  await bucket.write(packKey(name, "pack"), await fileSource(join(folder, `${name}.pack`)), call);
  if (packs.some(({ promisor }) => promisor)) {
    await bucket.write(packKey(name, "promisor"), { size: 0, open: async function* () {} }, call);
  }
  await bucket.write(packKey(name, "idx"), await fileSource(join(folder, `${name}.idx`)), call);
  return name;
}
