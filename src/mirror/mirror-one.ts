/** Copying one repository to one bucket: objects first, then the tables, each safe against a crash at any moment. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { sourceOf } from "../object/content.js";
import { cleanUp, isDue, type Kept, since } from "./cleanup.js";
import { type Copied, copyObjects, noLfs } from "./copy-objects.js";
import type { MirrorDone, MirrorOptions } from "./options.js";
import { publishRefs, swap } from "./publish.js";
import { digestOf, formatRecord, type MirrorRecord, recordKey } from "./record.js";
import { formatHead, formatInfoRefs, type RefTable, selectRefs } from "./refs.js";
import { type Run, settled } from "./run.js";
import { openSource } from "./source.js";
import { headKey, isEmpty, readTarget, type Target } from "./target.js";

const DAY_MS = 24 * 60 * 60 * 1000;

/** As git's gc.autoPackLimit. */
const PACK_LIMIT = 50;

/**
 * Brings the mirror of the repository at `url` in `bucket` up to date.
 *
 * @throws OdbError as `openSource`; conflict, for a target that is not ours, an emptied source, or a lost race;
 *   unsupported, without conditional writes; integrity, when the source does not give all its refs need
 */
export async function mirrorOne(url: string, bucket: Bucket, options: MirrorOptions): Promise<MirrorDone> {
  const call: CallOptions = options.signal ? { signal: options.signal } : {};
  const opening = openSource(url, { ...call, credentials: options.credentials });
  // Both answer at the same time; a target that would have to be made waits until there is a source.
  const reading = bucket.create === undefined ? readTarget(bucket, call) : undefined;
  reading?.catch(() => {});
  using source = await opening;
  await bucket.create?.(call);
  const target = await (reading ?? readTarget(bucket, call));
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
  const { objects, bytes, lfs } = await update(run);
  return { ...done, changed: true, objects, bytes, lfs };
}

/** Claims the target, copies, publishes, tidies: writes in this order, and each may be the last. */
async function update(run: Run): Promise<Copied> {
  const claiming = claim(run);
  const infoRefs = formatInfoRefs(run.table.refs);
  const [copied, record] = await settled([copyObjects({ ...run, claim: claiming }), claiming]);
  await publishRefs(run.bucket, run.target.infoRefs, infoRefs, run.call);
  const kept: Kept = {
    unlisted: record.unlisted,
    superseded: { ...record.superseded, ...since(copied.superseded, record.superseded) },
  };
  const [left] = await settled([
    cleanUp(run.bucket, kept, run.options.graceMs ?? DAY_MS, run.call),
    writeHead(run),
  ]);
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
  if (!(await bucket.conditionalWrites(run.call))) {
    throw new OdbError(
      "unsupported",
      `${bucket.name} has no conditional writes: two runs at once could damage a mirror in it`,
    );
  }
  const { record } = target;
  const ours = record?.source === source.name && record.layout === layout && record.hash === source.hash;
  if (record !== undefined && ours) return record;
  const { superseded = {}, unlisted = {} } = isFull ? (record ?? {}) : {};
  const claimed = { source: source.name, layout, hash: source.hash, refs: "", superseded, unlisted };
  const found = record === undefined ? undefined : { ...(target.recordEtag && { etag: target.recordEtag }) };
  if (await swap(bucket, recordKey, found, formatRecord(claimed), run.call)) return claimed;
  throw new OdbError("conflict", `${bucket.name}: another run has just begun to mirror to it: run it again`);
}

async function writeHead({ bucket, target, table, call }: Run): Promise<void> {
  const head = formatHead(table);
  if (target.head?.equals(head)) return;
  await bucket.write(headKey, sourceOf(head), { ...call, contentType: "text/plain" });
}

async function writeRecord({ bucket, call }: Run, record: MirrorRecord): Promise<void> {
  await bucket.write(recordKey, sourceOf(formatRecord(record)), { ...call, contentType: "application/json" });
}
