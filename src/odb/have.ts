/**
 * Which objects may be named to git as being in the ODB. git drops, or never writes, its own copy of an object that is
 * named: so only confirmed ones are. A metadata ref is a candidate, confirmed against the store once.
 */

import type { CallOptions } from "../bucket/bucket.js";
import { toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import type { Repository } from "../repo/git.js";
import type { ObjectStore } from "../store/store.js";
import { addConfirmed } from "./confirmed.js";
import { type MetadataRef, metadataIs, metadataPrefix, readMetadata } from "./refs.js";

/** Up to so many candidates are asked for one by one; more cost one listing (S3 lists 1000 a request). */
const STAT_LIMIT = 200;

/** Requests at the same time while candidates are asked for one by one. */
const STAT_PARALLEL = 16;

/** What {@link confirmCandidates} needs to know. */
export interface CandidateCheck {
  readonly repo: Repository;
  readonly name: string;
  readonly dir: string;
  /** `storeKey` of the store. */
  readonly key: string;
  /** Called only if there are candidates. */
  readonly openStore: () => Promise<ObjectStore>;
  /** One line each: refs that are refused, objects that differ from their metadata. */
  readonly warn: (line: string) => void;
}

/**
 * Looks candidates up in the store and remembers those that it has, with the size and type of their metadata.
 *
 * @throws OdbError unavailable, denied, …, when the store cannot be asked
 */
export async function confirmCandidates(
  check: CandidateCheck,
  candidates: readonly MetadataRef[],
  options: CallOptions = {},
): Promise<ObjectInfo[]> {
  if (candidates.length === 0) return [];
  const store = await check.openStore();
  const found =
    candidates.length <= STAT_LIMIT
      ? await statAll(store, candidates, options)
      : await listAll(check, store, candidates, options);
  const seen = await agreeing(check, candidates, found);
  // What cannot be remembered (a repository that is read only) is asked again next time.
  await addConfirmed(check.dir, check.key, seen).catch((error: unknown) =>
    check.warn(toOdbError(error).message),
  );
  return seen;
}

async function statAll(
  store: ObjectStore,
  candidates: readonly MetadataRef[],
  options: CallOptions,
): Promise<Map<ObjectId, ObjectInfo>> {
  const found = new Map<ObjectId, ObjectInfo>();
  const rest = candidates[Symbol.iterator]();
  const worker = async () => {
    for (const { oid } of rest) {
      const info = await store.stat(oid, options);
      if (info !== undefined) found.set(oid, info);
    }
  };
  await Promise.all(Array.from({ length: Math.min(STAT_PARALLEL, candidates.length) }, worker));
  return found;
}

async function listAll(
  check: CandidateCheck,
  store: ObjectStore,
  candidates: readonly MetadataRef[],
  options: CallOptions,
): Promise<Map<ObjectId, ObjectInfo>> {
  const wanted = new Set(candidates.map(({ oid }) => oid));
  const found = new Map<ObjectId, ObjectInfo>();
  const onBad = (_: ObjectId, error: Error) => check.warn(error.message);
  for await (const info of store.list({ ...options, onBad })) {
    if (wanted.has(info.oid)) found.set(info.oid, info);
  }
  return found;
}

/** Those of which the store and the metadata say the same; what differs is not named, and said. */
async function agreeing(
  check: CandidateCheck,
  candidates: readonly MetadataRef[],
  found: ReadonlyMap<ObjectId, ObjectInfo>,
): Promise<ObjectInfo[]> {
  const seen: ObjectInfo[] = [];
  const odd: MetadataRef[] = [];
  for (const ref of candidates) {
    const info = found.get(ref.oid);
    if (info === undefined) continue;
    if (metadataIs(ref, info, check.repo)) seen.push(info);
    else odd.push(ref);
  }
  // Written by others (no LF at the end), lying, or the store's copy is not whole.
  const { infos, refused } = await readMetadata(check.repo, check.name, odd);
  for (const line of refused) check.warn(line);
  for (const [oid, told] of infos) {
    const info = found.get(oid) as ObjectInfo;
    if (told.size === info.size && told.type === info.type) seen.push(info);
    else check.warn(differs(check, told, info));
  }
  return seen;
}

function differs(check: CandidateCheck, told: ObjectInfo, info: ObjectInfo): string {
  return (
    `object ${info.oid} is a ${info.type} of ${info.size} bytes in the store of ODB "${check.name}", but ` +
    `${metadataPrefix(check.name)}${told.oid} says ${told.type} of ${told.size}: run "git odb fsck --store"`
  );
}
