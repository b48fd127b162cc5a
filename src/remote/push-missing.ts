/** A push from a partial clone: what is missing here is in the bucket already, or is brought from who promised it. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { readOdbConfig } from "../odb/config.js";
import type { Repository } from "../repo/git.js";
import { inParallel } from "../store/parallel.js";
import type { BucketSettings } from "../store/settings.js";
import { selectByHistory } from "./push-history.js";
import { type NewObjects, newObjects } from "./push-objects.js";
import { objectKey } from "./repository.js";

/** Keys asked for at the same time. */
const PARALLEL = 16;

/**
 * As `newObjects`, until all that is missing here is an object of the bucket. Each batch is brought by one fetch; a tree
 * that was missing may name more.
 *
 * @param doomed keys of the bucket that do not count, because they are being removed
 * @throws OdbError integrity, when an object is nowhere
 */
export async function completeObjects(
  repo: Repository,
  bucket: Bucket,
  settings: BucketSettings,
  tips: readonly ObjectId[],
  have: readonly ObjectId[],
  doomed: ReadonlySet<string>,
  call: CallOptions,
): Promise<NewObjects> {
  let before = "";
  let failure: unknown;
  const odbs = await readOdbConfig(repo);
  for (;;) {
    const objects = await newObjects(repo, tips, have);
    const lacking = await notIn(bucket, settings, objects.missing, doomed, call);
    const [first] = lacking;
    if (first === undefined) return await selectByHistory(repo, objects, tips, have, odbs);
    const now = lacking.join();
    if (now === before) throw nowhere(first, bucket, failure);
    before = now;
    // git may bring some and fail for the rest: as long as it brings any, the next round asks for what is left.
    failure = await bring(repo, lacking).catch((error: unknown) => error);
  }
}

async function notIn(
  bucket: Bucket,
  settings: BucketSettings,
  oids: readonly ObjectId[],
  doomed: ReadonlySet<string>,
  call: CallOptions,
): Promise<ObjectId[]> {
  const look = async (oid: ObjectId) => {
    const key = objectKey(settings, oid);
    return doomed.has(key) || (await bucket.head(key, call)) === undefined ? oid : undefined;
  };
  const lacking: ObjectId[] = [];
  for await (const oid of inParallel(oids, PARALLEL, look)) lacking.push(oid);
  return lacking;
}

/** `git pack-objects` fetches all that it misses in one batch (prefetch_to_pack); its pack is of no use here. */
async function bring(repo: Repository, oids: readonly ObjectId[]): Promise<void> {
  const input = oids.map((oid) => `${oid}\n`).join("");
  const args = ["pack-objects", "--stdout", "-q", "--window=0"];
  for await (const _ of repo.stream(args, { input, env: { GIT_NO_LAZY_FETCH: undefined } }));
}

function nowhere(oid: ObjectId, bucket: Bucket, cause?: unknown): OdbError {
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  const message = `object ${oid} is neither here nor in ${bucket.name}, and no remote gives it: nothing was pushed`;
  return new OdbError("integrity", message + why, { cause });
}
