/** Brings the packed objects of a repository in a bucket: what is not here yet, as one pack that git indexes. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { hexLength, type ObjectId } from "../object/id.js";
import { concatPacks, indexCount, mayShareObjects, PACK_HEAD } from "../pack/concat.js";
import { type PackIndex, parseIndex } from "../pack/idx.js";
import { type JoinSource, planJoin } from "../pack/join.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { inParallel } from "../store/parallel.js";
import { readRange, readRanges } from "./read-ranges.js";
import { type BucketPack, listPacks, packKey } from "./repository.js";

/** Where to fetch from and how. */
export interface PackFetch {
  readonly repo: Repository;
  readonly bucket: Bucket;
  /** Nothing is here yet. */
  readonly cloning: boolean;
  /** Whether git's progress is to be seen on stderr. */
  readonly progress: boolean;
  /** Check the objects' form, as `transfer.fsckObjects` asks. */
  readonly strict: boolean;
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
}

/** Indexes of so many bytes are looked at first: what was pushed last is mostly what is missing. */
const RECENT_INDEXES = 256 * 1024;

/** Indexes on their way at the same time. */
const PARALLEL = 8;

/**
 * Fetches what the wants need. A clone takes every pack; later, the newest packs are tried first, and all others only
 * when history still has holes. Of a pack, the objects that are here already are left out.
 *
 * @throws OdbError unavailable, when a pack vanished meanwhile; integrity, when a pack or index is broken
 */
export async function fetchPacks(fetch: PackFetch, wants: readonly ObjectId[]): Promise<FetchedPacks> {
  const packs = await listPacks(fetch.bucket, call(fetch));
  const promisor = packs.some((pack) => pack.promisor);
  if (fetch.cloning && !hasAlternates(fetch.repo)) {
    return { promisor, ...(await install(fetch, await allPacks(fetch, packs), promisor)) };
  }
  const byAge = packs.toSorted((a, b) => (b.modified?.getTime() ?? 0) - (a.modified?.getTime() ?? 0));
  const recent = takeRecent(byAge);
  const first = await fetchMissing(fetch, recent, promisor);
  if (recent.length === packs.length || (await isConnected(fetch, wants, promisor))) {
    return { promisor, selfContained: false, locks: first };
  }
  const second = await fetchMissing(fetch, byAge.slice(recent.length), promisor);
  return { promisor, selfContained: false, locks: [...first, ...second] };
}

/** Everything as one pack, which git then need not walk through to see that it is whole. */
async function allPacks(fetch: PackFetch, packs: readonly BucketPack[]): Promise<Content> {
  const { bucket, repo } = fetch;
  const [only] = packs;
  if (only !== undefined && packs.length === 1) {
    return readRanges(bucket, [{ key: packKey(only.name, "pack"), start: 0, end: only.size }], call(fetch));
  }
  const bySize = packs.toSorted((a, b) => b.size - a.size);
  const indexes = await readIndexes(fetch, bySize);
  const files = indexes.map(({ bytes }) => bytes);
  if (mayShareObjects(files, repo.hash)) {
    return joinSources(fetch, bySize, await sourcesOf(fetch, bySize, indexes), () => true);
  }
  const count = files.reduce((sum, bytes) => sum + indexCount(bytes), 0);
  const bodies = bySize.map(({ name, size }) => {
    return { key: packKey(name, "pack"), start: PACK_HEAD, end: size - hexLength[repo.hash] / 2 };
  });
  return concatPacks(count, repo.hash, readRanges(bucket, bodies, call(fetch)));
}

/** @returns `.keep` files */
async function fetchMissing(
  fetch: PackFetch,
  packs: readonly BucketPack[],
  promisor: boolean,
): Promise<readonly string[]> {
  const sources = await sourcesOf(fetch, packs, await readIndexes(fetch, packs));
  const oids = new Set(sources.flatMap(({ entries }) => entries.map(({ oid }) => oid)));
  for await (const info of infosOf(fetch.repo, [...oids])) if (info !== undefined) oids.delete(info.oid);
  if (oids.size === 0) return [];
  const pack = joinSources(fetch, packs, sources, (oid) => oids.has(oid));
  return (await install(fetch, pack, promisor)).locks;
}

function joinSources(
  fetch: PackFetch,
  packs: readonly BucketPack[],
  sources: readonly JoinSource[],
  isWanted: (oid: ObjectId) => boolean,
): Content {
  const plan = planJoin(sources, fetch.repo.hash, isWanted);
  const ranges = plan.runs.map(({ source, start, end }) => {
    const key = packKey(packs[source]?.name ?? "", "pack");
    return { key, start, end };
  });
  return plan.pack(readRanges(fetch.bucket, ranges, call(fetch)));
}

interface Index {
  /** The file. */
  readonly bytes: Buffer;
  readonly index: PackIndex;
}

/** Every index whole, its checksum verified, in the order of the packs. */
async function readIndexes(fetch: PackFetch, packs: readonly BucketPack[]): Promise<Index[]> {
  const { bucket, repo } = fetch;
  async function* each() {
    yield* packs;
  }
  const read = async ({ name, indexSize }: BucketPack): Promise<Index> => {
    const key = packKey(name, "idx");
    const bytes = await readRange(bucket, { key, start: 0, end: indexSize }, call(fetch));
    return { bytes, index: (await parseIndex(bytes, repo.hash, `${bucket.name}/${key}`)).index };
  };
  const indexes: Index[] = [];
  for await (const index of inParallel(each(), PARALLEL, read)) indexes.push(index);
  return indexes;
}

async function sourcesOf(
  { bucket }: PackFetch,
  packs: readonly BucketPack[],
  indexes: readonly Index[],
): Promise<JoinSource[]> {
  const sources: JoinSource[] = [];
  for (const [at, { name, size }] of packs.entries()) {
    const entries: JoinSource["entries"][number][] = [];
    for await (const { oid, offset } of indexes[at]?.index.entries() ?? []) entries.push({ oid, offset });
    entries.sort((a, b) => a.offset - b.offset);
    sources.push({ name: `${bucket.name}/${packKey(name, "pack")}`, size, entries });
  }
  return sources;
}

function takeRecent(packs: readonly BucketPack[]): BucketPack[] {
  const recent: BucketPack[] = [];
  let size = 0;
  for (const pack of packs) {
    size += pack.indexSize;
    if (recent.length > 0 && size > RECENT_INDEXES) break;
    recent.push(pack);
  }
  return recent;
}

/** git verifies every object while it indexes the pack; it is visible when it is whole. */
async function install(
  { repo, strict, progress, signal }: PackFetch,
  pack: Content,
  promisor: boolean,
): Promise<{ locks: readonly string[]; selfContained: boolean }> {
  const args = ["index-pack", "--stdin", "--fix-thin", `--keep=git-odb fetch ${process.pid}`];
  if (promisor) args.push("--promisor");
  else args.push("--check-self-contained-and-connected");
  if (strict) args.push("--strict");
  if (progress) args.push("-v");
  const { stdout, status } = await repo.run(args, {
    input: pack,
    // 1: sound, but it names objects that are not in it.
    okStatus: [0, 1],
    env: { GIT_NO_LAZY_FETCH: "1" },
    ...(progress && { stderr: "inherit" as const }),
    ...(signal && { signal }),
  });
  const [, kept, name] = /^(keep|pack)\t([0-9a-f]+)\n/.exec(stdout.toString()) ?? [];
  if (name === undefined) throw new OdbError("bug", "git index-pack did not name the pack");
  const locks = kept === "keep" ? [join(repo.objectsDir, "pack", `pack-${name}.keep`)] : [];
  return { locks, selfContained: status === 0 && !promisor };
}

/** Whether history is whole. Where blobs are left out they are not looked for: they come when they are needed. */
async function isConnected(
  { repo }: PackFetch,
  wants: readonly ObjectId[],
  promisor: boolean,
): Promise<boolean> {
  const filter = promisor ? ["--filter=blob:none"] : [];
  const args = [
    "rev-list",
    "--objects",
    "--no-object-names",
    "--missing=print",
    ...filter,
    "--stdin",
    "--not",
    "--all",
  ];
  const options = {
    input: wants.map((oid) => `${oid}\n`).join(""),
    okStatus: [0, 128],
    env: { GIT_NO_LAZY_FETCH: "1" },
  };
  const { status, stdout } = await repo.run(args, options);
  return status === 0 && !/^\?/m.test(stdout.toString("latin1"));
}

function hasAlternates(repo: Repository): boolean {
  return (
    existsSync(join(repo.objectsDir, "info", "alternates")) ||
    Boolean(process.env.GIT_ALTERNATE_OBJECT_DIRECTORIES)
  );
}

function call({ signal }: PackFetch): CallOptions {
  return signal === undefined ? {} : { signal };
}
