/** Brings the packed objects of a repository in a bucket: what is not here yet, as one pack that git indexes. */

import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { hexLength, type ObjectId } from "../object/id.js";
import { concatPacks, indexCount, mayShareObjects, PACK_HEAD } from "../pack/concat.js";
import { firstBlob } from "../pack/history.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { type BucketPack, listPacks, packKey } from "../store/bucket-packs.js";
import type { IndexCache } from "../store/index-cache.js";
import { choosePacks } from "./choose-packs.js";
import { type Installed, installPack } from "./install-pack.js";
import {
  joinPacks,
  keepingSmall,
  type OpenPack,
  openIndexed,
  openPacks,
  type PackPlace,
  packReader,
  readIndexes,
} from "./pack-sources.js";
import { readRanges } from "./read-ranges.js";
import { walkObjects } from "./walk.js";

/** Where to fetch from and how. */
export interface PackFetch {
  readonly repo: Repository;
  readonly bucket: Bucket;
  /** Nothing is here yet. */
  readonly cloning: boolean;
  /** The wants are all that the refs of the repository reach. */
  readonly everything: boolean;
  /** Leave the blobs out of the packs: they are asked for when they are needed. */
  readonly withoutBlobs: boolean;
  /** Whether git's progress is to be seen on stderr. */
  readonly progress: boolean;
  /** Check the objects' form, as `transfer.fsckObjects` asks. */
  readonly strict: boolean;
  /** Where indexes are kept from one fetch to the next. */
  readonly indexes?: IndexCache | undefined;
  readonly signal?: AbortSignal;
}

/** What came. */
export interface FetchedPacks {
  /** Blobs may be missing: they are objects of the bucket, for the promisor remote to bring. */
  readonly promisor: boolean;
  /** `.keep` files that git removes when its refs are written. */
  readonly locks: readonly string[];
  /** All that the new objects name is among them. */
  readonly selfContained: boolean;
  /** The size of the largest pack of the bucket, in bytes. */
  readonly largestPack: number;
}

/** Rounds in which packs are fetched for what the chosen ones lack; then all others are. */
const ROUNDS = 3;

/**
 * Fetches what the wants need. A clone of everything takes every pack; otherwise those that hold the new commits, and
 * then those that hold what these lack. Of a pack, the objects that are here already are left out.
 *
 * @throws OdbError unavailable, when a pack vanished meanwhile; integrity, when a pack or index is broken
 */
export async function fetchPacks(fetch: PackFetch, wants: readonly ObjectId[]): Promise<FetchedPacks> {
  const packs = await listPacks(fetch.bucket, call(fetch));
  fetch.indexes?.retain(packs);
  const promisor = fetch.withoutBlobs || packs.some((pack) => pack.promisor);
  const about = { promisor, largestPack: packs.reduce((most, { size }) => Math.max(most, size), 0) };
  const isNew = fetch.cloning && !hasAlternates(fetch.repo);
  if (isNew && fetch.everything && !fetch.withoutBlobs) {
    return { ...about, ...(await installPack(fetch, await allPacks(fetch, packs), promisor)) };
  }
  return { ...about, ...(await fetchChosen(fetch, packs, wants, promisor)) };
}

/** Everything as one pack, which git then need not walk through to see that it is whole. */
async function allPacks(fetch: PackFetch, packs: readonly BucketPack[]): Promise<Content> {
  const { bucket, repo } = fetch;
  const [only] = packs;
  if (only !== undefined && packs.length === 1) {
    return readRanges(bucket, [{ key: packKey(only.name, "pack"), start: 0, end: only.size }], call(fetch));
  }
  const place = placeOf(fetch, bucket);
  const bySize = await readIndexes(
    place,
    packs.toSorted((a, b) => b.size - a.size),
  );
  const files = bySize.map(({ index }) => index.bytes);
  if (mayShareObjects(files, repo.hash)) {
    return joinPacks(place, await openIndexed(place, bySize), () => true);
  }
  const count = files.reduce((sum, bytes) => sum + indexCount(bytes), 0);
  const bodies = bySize.map(({ pack: { name, size } }) => {
    return { key: packKey(name, "pack"), start: PACK_HEAD, end: size - hexLength[repo.hash] / 2 };
  });
  return concatPacks(count, repo.hash, readRanges(bucket, bodies, call(fetch)));
}

async function fetchChosen(
  fetch: PackFetch,
  packs: readonly BucketPack[],
  wants: readonly ObjectId[],
  promisor: boolean,
): Promise<Installed> {
  const place = placeOf(fetch, keepingSmall(fetch.bucket, packs));
  const byAge = packs.toSorted((a, b) => (b.modified?.getTime() ?? 0) - (a.modified?.getTime() ?? 0));
  const { chosen, opened } = await choosePacks(
    fetch.repo,
    place,
    byAge,
    wants,
    fetch.cloning ? packs.length : 1,
  );
  const wanted = fetch.withoutBlobs ? await structureOf(place, chosen) : undefined;
  const first = await fetchMissing(fetch, place, chosen, promisor, wanted);
  const locks = [...first.locks];
  let left = opened.filter((one) => !chosen.includes(one));
  // Structure that was not where it should be is in a chosen pack.
  if (fetch.withoutBlobs) left = [...opened];
  let missing = await missingAfter(fetch, wants);
  for (let round = 1; missing === undefined || missing.size > 0; round++) {
    const lacks = missing;
    const lacking = lacks === undefined || round > ROUNDS ? left : left.filter((one) => holds(one, lacks));
    if (lacking.length === 0) break;
    locks.push(...(await fetchMissing(fetch, place, lacking, promisor)).locks);
    left = left.filter((one) => !lacking.includes(one));
    missing = await missingAfter(fetch, wants);
  }
  const isWhole = missing?.size === 0 || opened.length === packs.length;
  if (!isWhole && !(await isConnected(fetch, wants, promisor))) {
    const rest = await openPacks(place, byAge.slice(opened.length));
    locks.push(...(await fetchMissing(fetch, place, rest, promisor)).locks);
  }
  const selfContained = first.selfContained && locks.length === 1;
  return { locks: await keepFirst(locks), selfContained };
}

/** git removes one such file only. What is new needs none: no `git gc` prunes it within two weeks. */
async function keepFirst(locks: readonly string[]): Promise<readonly string[]> {
  for (const path of locks.slice(1)) await rm(path, { force: true });
  return locks.slice(0, 1);
}

function holds({ source }: OpenPack, oids: ReadonlySet<ObjectId>): boolean {
  return source.entries.some(({ oid }) => oids.has(oid));
}

/** Commits, tags and trees of these packs, as far as they stand where git puts them. */
async function structureOf(place: PackPlace, packs: readonly OpenPack[]): Promise<Set<ObjectId>> {
  const wanted = new Set<ObjectId>();
  for (const one of packs) {
    const end = await firstBlob(packReader(place, one), one.source, place.hash);
    for (const { oid } of one.source.entries.slice(0, end)) wanted.add(oid);
  }
  return wanted;
}

async function fetchMissing(
  fetch: PackFetch,
  place: PackPlace,
  packs: readonly OpenPack[],
  promisor: boolean,
  wanted?: ReadonlySet<ObjectId>,
): Promise<Installed> {
  const oids = new Set(wanted ?? packs.flatMap(({ source }) => source.entries.map(({ oid }) => oid)));
  for await (const info of infosOf(fetch.repo, [...oids])) if (info !== undefined) oids.delete(info.oid);
  if (oids.size === 0) return { locks: [], selfContained: false };
  return await installPack(
    fetch,
    joinPacks(place, packs, (oid) => oids.has(oid)),
    promisor,
  );
}

/** Whether history is whole. Where blobs are left out they are not looked for: they come when they are needed. */
async function isConnected(
  fetch: PackFetch,
  wants: readonly ObjectId[],
  promisor: boolean,
): Promise<boolean> {
  return (await missingFrom(fetch, wants, promisor))?.size === 0;
}

/** What the packs that were chosen lack: with blobs, unless they are to be left out. */
async function missingAfter(fetch: PackFetch, wants: readonly ObjectId[]) {
  return await missingFrom(fetch, wants, fetch.withoutBlobs);
}

/** @returns undefined when a commit is missing */
async function missingFrom(
  { repo }: PackFetch,
  wants: readonly ObjectId[],
  withoutBlobs: boolean,
): Promise<Set<ObjectId> | undefined> {
  const filter = withoutBlobs ? ["--filter=blob:none"] : [];
  try {
    return new Set((await walkObjects(repo, wants, [], [...filter, "--not", "--all"])).missing);
  } catch (error) {
    // So ends a git that misses a commit.
    if (error instanceof OdbError && (error.code === "config" || error.code === "integrity"))
      return undefined;
    throw error;
  }
}

function hasAlternates(repo: Repository): boolean {
  return (
    existsSync(join(repo.objectsDir, "info", "alternates")) ||
    Boolean(process.env.GIT_ALTERNATE_OBJECT_DIRECTORIES)
  );
}

function placeOf({ repo, signal, indexes }: PackFetch, bucket: Bucket): PackPlace {
  return {
    bucket,
    hash: repo.hash,
    call: signal === undefined ? {} : { signal },
    ...(indexes && { indexes }),
  };
}

function call({ signal }: PackFetch): CallOptions {
  return signal === undefined ? {} : { signal };
}
