/** Upload: selected blobs into their ODBs, in parallel and in bounded memory, then the metadata refs of all of them. */

import type { CallOptions } from "../bucket/bucket.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { type LocalBlobs, openLocalBlobs } from "./local-blobs.js";
import { listMetadataRefs, writeMetadataRefs } from "./refs.js";
import type { Odb } from "./session.js";

/** Options of {@link uploadBlobs}. */
export interface UploadOptions extends CallOptions {
  /** Told of each blob that is safely in the store now; `sent`: it was not before, as far as is known. */
  readonly onStored?: (info: ObjectInfo, sent: boolean) => void;
}

/** What became of the blobs. */
export interface UploadReport {
  /** In the store, with metadata refs. */
  readonly stored: readonly ObjectInfo[];
  readonly sent: readonly ObjectInfo[];
  /** Neither here nor in the store. */
  readonly missing: readonly ObjectId[];
}

/**
 * Blobs on their way at the same time, if `odb.<name>.concurrency` does not say. An estimate for
 * 20 ms to the store.
 */
const CONCURRENCY = 48;

/**
 * Brings blobs into the ODB: what it is known to have is not sent again. The metadata refs are written when all are
 * through, and also of what was stored before a failure.
 *
 * @throws OdbError what the store throws: no metadata ref names what is not stored
 */
export async function uploadBlobs(
  odb: Odb,
  oids: Iterable<ObjectId>,
  options: UploadOptions = {},
): Promise<UploadReport> {
  const known = new Set<ObjectId>();
  for await (const { oid } of odb.have(options)) known.add(oid);
  const stored: ObjectInfo[] = [];
  const sent: ObjectInfo[] = [];
  const missing: ObjectId[] = [];
  const wanted = new Set(oids);
  await using local = await openLocalBlobs(odb.repo, wanted, (oid) => !known.has(oid));
  const take = async (oid: ObjectId) => {
    options.signal?.throwIfAborted();
    // What was confirmed once may have gone since.
    const there = known.has(oid) ? await odb.stat(oid, options) : undefined;
    const outcome = there ? { info: there, sent: false } : await upload(odb, local, oid, options);
    if (outcome === undefined) return void missing.push(oid);
    stored.push(outcome.info);
    if (outcome.sent) sent.push(outcome.info);
    options.onStored?.(outcome.info, outcome.sent);
  };
  try {
    await inWorkers(wanted, odb.config.concurrency ?? CONCURRENCY, take);
  } finally {
    await odb.flush();
    await completeRefs(odb, stored);
  }
  return { stored, sent, missing };
}

/** Refs of what was confirmed long ago, if somebody has deleted them. */
async function completeRefs(odb: Odb, stored: readonly ObjectInfo[]): Promise<void> {
  const present = new Set((await listMetadataRefs(odb.repo, odb.name)).map(({ oid }) => oid));
  const lacking = stored.filter(({ oid }) => !present.has(oid));
  if (lacking.length > 0) await writeMetadataRefs(odb.repo, odb.name, lacking);
}

/** @returns undefined, when it is neither here nor there */
async function upload(
  odb: Odb,
  local: LocalBlobs,
  oid: ObjectId,
  options: CallOptions,
): Promise<{ info: ObjectInfo; sent: boolean } | undefined> {
  const info = local.infos.get(oid);
  if (info !== undefined) {
    await local.use(info, (content) => odb.put(info, content, options));
    return { info, sent: true };
  }
  // Put by another clone, and not here: dropped, or never fetched.
  const there = await odb.claim(oid, options);
  return there && { info: there, sent: false };
}

/** Every item once; after a failure no new one is begun, and those under way come to their end. */
async function inWorkers<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  let failed = false;
  const worker = async () => {
    for (let next = rest.next(); !next.done && !failed; next = rest.next()) {
      await work(next.value).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: width }, worker));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
