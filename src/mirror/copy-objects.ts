/** The first half of a run: the objects that the mirror lacks, from the source to the bucket, and the table of packs. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Source as Bytes, Content } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import { BaseMemory } from "../pack/base-memory.js";
import { ancestors } from "./ancestors.js";
import type { ArrivedPack } from "./arriving-pack.js";
import { mirrorObjects } from "./bucket-pack.js";
import { type FetchedPack, fetchPack, type PackDemand } from "./fetched-pack.js";
import { type KnownObjects, knownObjects } from "./known.js";
import { copyLfsObjects } from "./lfs.js";
import { lfsClient, lfsUrlOf } from "./lfs-client.js";
import type { LfsObject } from "./lfs-pointer.js";
import { putLooseObjects } from "./loose.js";
import type { MirrorDone } from "./options.js";
import { changePacks } from "./publish.js";
import { tipsOf } from "./refs.js";
import { type ClaimingRun, settled } from "./run.js";
import { streamPack } from "./streamed-pack.js";

/** What was copied. */
export interface Copied {
  readonly objects: number;
  readonly bytes: number;
  /** Packs that this run has made needless. */
  readonly superseded: readonly string[];
  readonly lfs: MirrorDone["lfs"];
}

/** Of a run that copies no LFS objects. */
export const noLfs: MirrorDone["lfs"] = { copied: 0, bytes: 0, missing: 0 };

const nothing: Copied = { objects: 0, bytes: 0, superseded: [], lfs: noLfs };

/** Brings all that the refs to be published need and the published ones do not reach. */
export async function copyObjects(run: ClaimingRun): Promise<Copied> {
  const { source, target, table, isFull, layout, bucket, call } = run;
  const had = isFull ? new Set<ObjectId>() : tipsOf({ refs: target.refs });
  const headId = target.head?.toString("latin1").trim() ?? "";
  if (!isFull && /^[0-9a-f]{40,64}$/.test(headId)) had.add(headId as ObjectId);
  const wants = new Set([...tipsOf(table)].filter((oid) => !had.has(oid)));
  if (wants.size === 0) {
    await run.claim;
    if (layout === "packs") await changePacks(bucket, (names) => names, call, target.packTable);
    return nothing;
  }
  const known = had.size === 0 ? undefined : knownObjects(bucket, target.packs, layout, call);
  const thin = run.options.stream === true && known !== undefined;
  const below = (unknown: Iterable<ObjectId>) => belowTips(run, known, unknown);
  const pack = received(run, source.fetch({ wants, haves: had, below, thin }));
  const { directory, signal } = run.options;
  const demand = { hash: source.hash, wants, known, what: source.name, directory, signal };
  if (run.options.stream) return await putStreamed(run, pack, demand);
  if (layout === "packs") return await putPack(run, pack, demand);
  await using fetched = await fetchPack(pack, demand);
  run.tell({ event: "objects", source: source.name, count: fetched.count });
  await run.claim;
  const count = (bytes: number) => run.tell({ event: "send", source: source.name, bytes });
  const put = await putLooseObjects(bucket, fetched, count, call);
  return { ...put, superseded: [], lfs: await copyLfs(run, await fetched.pointers()) };
}

/** In memory for one base of a delta, in bytes: no commit is a large one. */
const BASES = 1024 * 1024;

/** What the mirror has below tips that the source has removed. Where each object is a key it would take as many requests. */
async function* belowTips(
  { layout, bucket, source, call }: ClaimingRun,
  known: KnownObjects | undefined,
  tips: Iterable<ObjectId>,
): AsyncIterable<ObjectId> {
  if (known === undefined || layout !== "packs") return;
  const objects = mirrorObjects(bucket, known, new BaseMemory(BASES), call);
  yield* ancestors(tips, objects, source.hash);
}

/**
 * The pack goes to a bucket behind a network while git still resolves its deltas: until it is listed, nobody goes by
 * it. A folder takes git's own file by a link, later.
 */
async function putPack(run: ClaimingRun, content: Content, demand: PackDemand): Promise<Copied> {
  const { bucket, source, target } = run;
  let early: string | undefined;
  const sendEarly = async ({ name, bytes }: ArrivedPack, signal: AbortSignal) => {
    if (bucket.stagingDirectory !== undefined || target.packs.includes(name)) return;
    await run.claim;
    await bucket.write(`objects/pack/${name}.pack`, sent(run, bytes), { signal });
    early = name;
  };
  await using fetched = await fetchPack(content, demand, sendEarly);
  const { name, pack, index, count } = fetched;
  run.tell({ event: "objects", source: source.name, count });
  await run.claim;
  if (count === 0) return nothing;
  const files: [string, Bytes][] =
    early === name
      ? [["idx", index]]
      : [
          ["idx", index],
          ["pack", pack],
        ];
  const copies = files.map(([type, bytes]) =>
    bucket.write(`objects/pack/${name}.${type}`, sent(run, bytes), run.call),
  );
  const [pointers] = await settled([findPointers(run, fetched), ...copies]);
  const lfs = await copyLfs(run, pointers);
  return { objects: count, bytes: pack.size + index.size, superseded: await listPack(run, name), lfs };
}

async function findPointers({ options }: ClaimingRun, fetched: FetchedPack): Promise<LfsObject[]> {
  return options.lfs === false ? [] : await fetched.pointers();
}

/** The pack is in the bucket when its index is known: it only has to get its own key. */
async function putStreamed(run: ClaimingRun, content: Content, demand: PackDemand): Promise<Copied> {
  const { bucket, call, source } = run;
  await run.claim;
  await using streamed = await streamPack(content, bucket, demand, call);
  const { name, key, index, count, size } = streamed;
  run.tell({ event: "objects", source: source.name, count });
  run.tell({ event: "send", source: source.name, bytes: size });
  if (count === 0) return nothing;
  if (!(await bucket.copy(key, `objects/pack/${name}.pack`, call))) {
    throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was needed: run it again`);
  }
  await bucket.write(`objects/pack/${name}.idx`, sent(run, index), call);
  const lfs = await copyLfs(run, streamed.pointers);
  return { objects: count, bytes: size + index.size, superseded: await listPack(run, name), lfs };
}

/** LFS objects come before the refs that need them, as all objects do. */
async function copyLfs(run: ClaimingRun, pointers: readonly LfsObject[]): Promise<MirrorDone["lfs"]> {
  const { options, source, bucket, call, tell } = run;
  if (pointers.length === 0 || options.lfs === false) return noLfs;
  const url = options.lfs ?? lfsUrlOf(source.url);
  if (url === undefined) return { ...noLfs, missing: pointers.length };
  using client = lfsClient(url, options.credentials);
  const onBytes = (bytes: number) => tell({ event: "lfs", source: source.name, bytes });
  const { copied, bytes, missing } = await copyLfsObjects(client, bucket, pointers, onBytes, call);
  return { copied, bytes, missing: missing.length };
}

/** Adds a pack to the table. @returns the packs that it makes needless */
async function listPack({ bucket, call, target, isFull }: ClaimingRun, name: string): Promise<string[]> {
  const replaced = isFull ? target.packs.filter((each) => each !== name) : [];
  const lost = isFull ? await lostPacks(bucket, replaced, call) : [];
  // The newest last: it is where a reader looks first.
  const change = (names: readonly string[]) => [
    ...names.filter((each) => each !== name && !lost.includes(each)),
    name,
  ];
  await changePacks(bucket, change, call, target.packTable);
  return replaced;
}

/** Those that are listed, but not there: a table must not name them. */
async function lostPacks(bucket: Bucket, names: readonly string[], call: CallOptions): Promise<string[]> {
  const lost: string[] = [];
  for (const name of names) {
    const files = [`objects/pack/${name}.pack`, `objects/pack/${name}.idx`];
    const found = await Promise.all(files.map((key) => bucket.head(key, call)));
    if (found.includes(undefined)) lost.push(name);
  }
  return lost;
}

/** The content, counted as it comes; it ends with the failure of the claim. */
async function* received({ tell, source, claim }: ClaimingRun, content: Content): Content {
  let refused: { error: unknown } | undefined;
  claim.catch((error: unknown) => {
    refused = { error };
  });
  for await (const chunk of content) {
    if (refused !== undefined) throw refused.error;
    tell({ event: "receive", source: source.name, bytes: chunk.length });
    yield chunk;
  }
}

/** The bytes, counted as they go. */
function sent({ tell, source }: ClaimingRun, bytes: Bytes): Bytes {
  return {
    ...bytes,
    async *open(range) {
      for await (const chunk of bytes.open(range)) {
        tell({ event: "send", source: source.name, bytes: chunk.length });
        yield chunk;
      }
    },
  };
}
