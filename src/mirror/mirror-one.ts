/** Copying one repository to one bucket: objects first, then the tables, each safe against a crash at any moment. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { type Source as Bytes, type Content, sourceOf } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import { cleanUp, isDue, type Kept, since } from "./cleanup.js";
import { type FetchedPack, fetchPack, type PackDemand } from "./fetched-pack.js";
import { knownObjects } from "./known.js";
import { copyLfsObjects } from "./lfs.js";
import { lfsClient, lfsUrlOf } from "./lfs-client.js";
import type { LfsObject } from "./lfs-pointer.js";
import { putLooseObjects } from "./loose.js";
import type { MirrorDone, MirrorEvent, MirrorOptions } from "./options.js";
import { changePacks, publishRefs, swap } from "./publish.js";
import { digestOf, formatRecord, type MirrorLayout, type MirrorRecord, recordKey } from "./record.js";
import { formatHead, formatInfoRefs, type RefTable, selectRefs, tipsOf } from "./refs.js";
import type { Source } from "./source.js";
import { streamPack } from "./streamed-pack.js";
import { headKey, isEmpty, readTarget, type Target } from "./target.js";

const DAY_MS = 24 * 60 * 60 * 1000;

/** As git's gc.autoPackLimit. */
const PACK_LIMIT = 50;

/** One run, with what it needs at hand. */
interface Run {
  readonly source: Source;
  readonly bucket: Bucket;
  readonly options: MirrorOptions;
  readonly call: CallOptions;
  readonly layout: MirrorLayout;
  readonly target: Target;
  readonly table: RefTable;
  /** Nothing that the target has counts: all of the source is copied. */
  readonly isFull: boolean;
  readonly tell: (event: MirrorEvent) => void;
}

/**
 * Brings the mirror of `source` in `bucket` up to date.
 *
 * @throws OdbError conflict, for a target that is not ours, an emptied source, or a lost race; unsupported, without
 *   conditional writes; integrity, when the source does not give all its refs need
 */
export async function mirrorOne(source: Source, bucket: Bucket, options: MirrorOptions): Promise<MirrorDone> {
  const call: CallOptions = options.signal ? { signal: options.signal } : {};
  await bucket.create?.(call);
  const target = await readTarget(bucket, call);
  const table = selectRefs(source.table, options.refs ?? []);
  const { layout = "packs", force = false, packLimit = PACK_LIMIT, onEvent: tell = () => {} } = options;
  const counted = target.packs.filter((name) => target.record?.superseded[name] === undefined);
  const isFull = force || (layout === "packs" && counted.length >= packLimit && !isCurrent(target, table));
  const run: Run = { source, bucket, options, call, layout, target, table, isFull, tell };
  const done = { source: source.name, target: bucket.name, refs: table.refs.length };
  await checkTarget(run);
  if (isCurrent(target, table) && !isFull && !isCleanupDue(run)) {
    return { ...done, changed: false, objects: 0, bytes: 0, lfs: noLfs };
  }
  if (!(await bucket.conditionalWrites(call))) {
    throw new OdbError(
      "unsupported",
      `${bucket.name} has no conditional writes: two runs at once could damage a mirror in it`,
    );
  }
  const { objects, bytes, lfs } = await update(run);
  return { ...done, changed: true, objects, bytes, lfs };
}

/** Claims the target, copies, publishes, tidies: in this order, and each step may be the last. */
async function update(run: Run): Promise<Copied> {
  const record = await claim(run);
  const infoRefs = formatInfoRefs(run.table.refs);
  const copied = await copyObjects(run);
  await publishRefs(run.bucket, run.target.infoRefs, infoRefs, run.call);
  await writeHead(run);
  const kept: Kept = {
    unlisted: record.unlisted,
    superseded: { ...record.superseded, ...since(copied.superseded, record.superseded) },
  };
  const left = await cleanUp(run.bucket, kept, run.options.graceMs ?? DAY_MS, run.call);
  await writeRecord(run, { ...record, ...left, refs: digestOf(infoRefs) });
  return copied;
}

/** @throws OdbError conflict */
async function checkTarget({ source, bucket, target, table, options, layout, call }: Run): Promise<void> {
  const { force = false, allowEmpty = false } = options;
  const { record } = target;
  const name = bucket.name;
  if (options.stream && layout !== "packs") {
    throw new OdbError("invalid", "--stream copies packs: leave out --layout=loose");
  }
  if (options.stream && bucket.writeStream === undefined) {
    throw new OdbError(
      "unsupported",
      `${bucket.name} cannot take a stream of unknown size: leave out --stream`,
    );
  }
  const refuse = (why: string, how: string) => {
    throw new OdbError("conflict", `${name} ${why}: ${how}`);
  };
  if (!force && record === undefined && !(await isEmptyTarget(bucket, target, call))) {
    refuse("holds something that is no mirror of ours", "use another target, or --force to write over it");
  }
  if (!force && record !== undefined && record.source !== source.name) {
    refuse(`is the mirror of ${record.source}`, "use another target, or --force to write over it");
  }
  if (!force && record !== undefined && (record.layout !== layout || record.hash !== source.hash)) {
    refuse(`is a mirror in layout ${record.layout}, of ${record.hash}`, "name that layout, or use --force");
  }
  if (!allowEmpty && table.refs.length === 0 && target.refs.length > 0) {
    refuse("has refs, but the source has none now", "use --allow-empty if the mirror shall be emptied, too");
  }
}

async function isEmptyTarget(bucket: Bucket, target: Target, call: CallOptions): Promise<boolean> {
  if (target.infoRefs !== undefined || target.head !== undefined || target.packs.length > 0) return false;
  return await isEmpty(bucket, call);
}

/** Whether readers see already what the source has. */
function isCurrent(target: Target, table: RefTable): boolean {
  const infoRefs = formatInfoRefs(table.refs);
  return (
    target.infoRefs?.bytes.equals(infoRefs) === true &&
    target.head?.equals(formatHead(table)) === true &&
    target.record?.refs === digestOf(infoRefs)
  );
}

function isCleanupDue({ target, options }: Run): boolean {
  return target.record !== undefined && isDue(target.record, options.graceMs ?? DAY_MS, Date.now());
}

/** Says whose the target is before anything else is in it: a run that is killed leaves nothing of unknown origin. */
async function claim(run: Run): Promise<MirrorRecord> {
  const { source, target, bucket, layout, isFull } = run;
  const { record } = target;
  const ours = record?.source === source.name && record.layout === layout && record.hash === source.hash;
  if (record !== undefined && ours) return record;
  const { superseded = {}, unlisted = {} } = isFull ? (record ?? {}) : {};
  const claimed = { source: source.name, layout, hash: source.hash, refs: "", superseded, unlisted };
  const found = record === undefined ? undefined : { ...(target.recordEtag && { etag: target.recordEtag }) };
  if (await swap(bucket, recordKey, found, formatRecord(claimed), run.call)) return claimed;
  throw new OdbError("conflict", `${bucket.name}: another run has just begun to mirror to it: run it again`);
}

interface Copied {
  readonly objects: number;
  readonly bytes: number;
  /** Packs that this run has made needless. */
  readonly superseded: readonly string[];
  readonly lfs: MirrorDone["lfs"];
}

const noLfs: MirrorDone["lfs"] = { copied: 0, bytes: 0, missing: 0 };
const nothing: Copied = { objects: 0, bytes: 0, superseded: [], lfs: noLfs };

async function copyObjects(run: Run): Promise<Copied> {
  const { source, target, table, isFull, layout, bucket, call } = run;
  const had = isFull ? new Set<ObjectId>() : tipsOf({ refs: target.refs });
  const headId = target.head?.toString("latin1").trim() ?? "";
  if (!isFull && /^[0-9a-f]{40,64}$/.test(headId)) had.add(headId as ObjectId);
  const wants = new Set([...tipsOf(table)].filter((oid) => !had.has(oid)));
  if (wants.size === 0) {
    if (layout === "packs") await changePacks(bucket, (names) => names, call);
    return nothing;
  }
  const known = had.size === 0 ? undefined : knownObjects(bucket, target.packs, layout, call);
  const pack = received(run, source.fetch(wants, had));
  const { directory, signal } = run.options;
  const demand = { hash: source.hash, wants, known, what: source.name, directory, signal };
  if (run.options.stream) return await putStreamed(run, pack, demand);
  await using fetched = await fetchPack(pack, demand);
  run.tell({ event: "objects", source: source.name, count: fetched.count });
  if (layout === "loose") {
    const count = (bytes: number) => run.tell({ event: "send", source: source.name, bytes });
    const put = await putLooseObjects(bucket, fetched, count, call);
    return { ...put, superseded: [], lfs: await copyLfs(run, await fetched.pointers()) };
  }
  return await putPack(run, fetched);
}

async function putPack(run: Run, fetched: FetchedPack): Promise<Copied> {
  const { name, pack, index, count } = fetched;
  if (count === 0) return nothing;
  const copies = [
    run.bucket.write(`objects/pack/${name}.pack`, sent(run, pack), run.call),
    run.bucket.write(`objects/pack/${name}.idx`, sent(run, index), run.call),
  ];
  const [pointers] = await settled([fetched.pointers(), ...copies]);
  const lfs = await copyLfs(run, pointers);
  return { objects: count, bytes: pack.size + index.size, superseded: await listPack(run, name), lfs };
}

/** Waits for all, also when one fails: what they use must not be taken away under them. */
async function settled<T extends readonly unknown[]>(
  running: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  await Promise.allSettled(running);
  return (await Promise.all(running)) as unknown as T;
}

/** The pack is in the bucket when its index is known: it only has to get its own key. */
async function putStreamed(run: Run, content: Content, demand: PackDemand): Promise<Copied> {
  const { bucket, call, source } = run;
  await using streamed = await streamPack(content, bucket, demand, call);
  const { name, key, index, count, size } = streamed;
  run.tell({ event: "objects", source: source.name, count });
  run.tell({ event: "send", source: source.name, bytes: size });
  if (count === 0) return nothing;
  if (!(await bucket.copy(key, `objects/pack/${name}.pack`, call))) {
    throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was needed: run it again`);
  }
  await bucket.write(`objects/pack/${name}.idx`, sent(run, sourceOf(index)), call);
  const lfs = await copyLfs(run, streamed.pointers);
  return { objects: count, bytes: size + index.length, superseded: await listPack(run, name), lfs };
}

/** LFS objects come before the refs that need them, as all objects do. */
async function copyLfs(run: Run, pointers: readonly LfsObject[]): Promise<MirrorDone["lfs"]> {
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
async function listPack({ bucket, call, target, isFull }: Run, name: string): Promise<string[]> {
  const replaced = isFull ? target.packs.filter((each) => each !== name) : [];
  const lost = isFull ? await lostPacks(bucket, replaced, call) : [];
  // The newest last: it is where a reader looks first.
  await changePacks(
    bucket,
    (names) => [...names.filter((each) => each !== name && !lost.includes(each)), name],
    call,
  );
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

async function writeHead({ bucket, target, table, call }: Run): Promise<void> {
  const head = formatHead(table);
  if (target.head?.equals(head)) return;
  await bucket.write(headKey, sourceOf(head), { ...call, contentType: "text/plain" });
}

async function writeRecord({ bucket, call }: Run, record: MirrorRecord): Promise<void> {
  await bucket.write(recordKey, sourceOf(formatRecord(record)), { ...call, contentType: "application/json" });
}

/** The content, counted as it comes. */
async function* received({ tell, source }: Run, content: Content): Content {
  for await (const chunk of content) {
    tell({ event: "receive", source: source.name, bytes: chunk.length });
    yield chunk;
  }
}

/** The bytes, counted as they go. */
function sent({ tell, source }: Run, bytes: Bytes): Bytes {
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
