/**
 * Offload: dropping local copies of blobs that the store has proved to hold. Proof first, then the promise that lets git do
 * without, then the copies; a crash between any two leaves every blob readable.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CallOptions } from "../bucket/bucket.js";
import { OdbError, toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { parseConfigBoolean, readConfig, setConfig } from "../repo/config.js";
import { withGcLock } from "../repo/gc-lock.js";
import type { Repository } from "../repo/git.js";
import { loosePath } from "../repo/loose-writer.js";
import { recoverPackWork, withPackWork } from "../repo/pack-work.js";
import { type LocalPack, listPacks, presentInPack, whilePacksChange } from "../repo/packs.js";
import { removeLoose, rewritePacks } from "../repo/rewrite-packs.js";
import { inParallel } from "../store/parallel.js";
import { openLocalBlobs } from "./local-blobs.js";
import { type OffloadScope, offloadCandidates } from "./offload-candidates.js";
import { promiseBlobs, readPromised } from "./promise.js";
import type { Odb } from "./session.js";

/** Options of {@link offload}. */
export interface OffloadOptions extends CallOptions {
  /** Prove, but drop nothing. */
  readonly dryRun?: boolean;
  /** Told of each blob that the store has proved to hold. */
  readonly onVerified?: (info: ObjectInfo) => void;
}

/** What was dropped, or would be. */
export interface OffloadReport {
  readonly dropped: readonly ObjectInfo[];
  /** Blobs that stay because a pack that has them is marked with `.keep`. */
  readonly kept: number;
  /** Bytes that packs and loose objects became smaller on disk; with `dryRun` the bytes of the blobs. */
  readonly freed: number;
  /** `repack.writeBitmaps` had to be switched off. */
  readonly bitmapsOff: boolean;
}

/** Copies asked for at the same time, if `odb.<name>.concurrency` does not say. */
const CONCURRENCY = 8;

/**
 * Drops the local copies in the scope. Nothing is dropped unless every store copy is proved in this very run.
 *
 * @throws OdbError config, when git has no way to bring them back; conflict, when git gc runs; integrity, when the store
 *   has wrong bytes; what the store throws: then nothing was dropped
 */
export async function offload(
  odb: Odb,
  scope: OffloadScope,
  options: OffloadOptions = {},
): Promise<OffloadReport> {
  const { repo } = odb;
  if (process.env.GIT_QUARANTINE_PATH) {
    throw new OdbError("conflict", "nothing can be dropped while git receives a push: run it afterwards");
  }
  await checkPromisor(repo, odb.name);
  const candidates = await offloadCandidates(odb, scope, options);
  const copies = await whilePacksChange(() => findCopies(repo, new Set(candidates.keys())));
  const proved = await verifyAll(odb, candidates, copies.removable, options);
  const dropped = [...proved.values()];
  const report = { dropped, kept: copies.kept.size, bitmapsOff: false };
  if (options.dryRun) return { ...report, freed: dropped.reduce((total, { size }) => total + size, 0) };
  return await withGcLock(repo, async () => {
    // Of a run that was killed at its very end nothing but this is left to do.
    await recoverPackWork(repo);
    if (dropped.length === 0) {
      const promised = (await readPromised(repo, odb.name)).tree !== undefined;
      if (promised) await promiseBlobs(repo, odb.name, []);
      return { ...report, freed: 0 };
    }
    const bitmapsOff = await switchBitmapsOff(repo);
    await promiseBlobs(repo, odb.name, proved.keys());
    const freed = await drop(repo, new Set(proved.keys()));
    return { ...report, freed, bitmapsOff };
  });
}

/** The local copies of some blobs. */
interface Copies {
  readonly packs: ReadonlyMap<LocalPack, readonly ObjectId[]>;
  readonly removable: ReadonlySet<ObjectId>;
  readonly kept: ReadonlySet<ObjectId>;
}

/** What alternates have is none of ours, so neither found nor dropped. */
async function findCopies(repo: Repository, wanted: ReadonlySet<ObjectId>): Promise<Copies> {
  const packs = new Map<LocalPack, ObjectId[]>();
  const kept = new Set<ObjectId>();
  const removable = new Set<ObjectId>();
  for (const pack of await listPacks(repo.objectsDir)) {
    const present = await presentInPack(pack.base, repo.hash, wanted);
    if (pack.kept) for (const oid of present) kept.add(oid);
    else if (present.length > 0) packs.set(pack, present);
  }
  for (const oids of packs.values()) for (const oid of oids) if (!kept.has(oid)) removable.add(oid);
  for (const oid of wanted) if (!kept.has(oid) && isLoose(repo, oid)) removable.add(oid);
  return { packs, removable, kept };
}

/** git's own loose objects, and what a git with ODB support has fetched. */
function looseRoots(repo: Repository): string[] {
  return [repo.objectsDir, join(repo.objectsDir, "external")];
}

function isLoose(repo: Repository, oid: ObjectId): boolean {
  return looseRoots(repo).some((root) => existsSync(join(root, loosePath(oid))));
}

/** Those that the store proves to have. Wrong bytes or no answer is an error; what is simply gone is left out. */
async function verifyAll(
  odb: Odb,
  candidates: ReadonlyMap<ObjectId, ObjectInfo>,
  local: ReadonlySet<ObjectId>,
  options: OffloadOptions,
): Promise<Map<ObjectId, ObjectInfo>> {
  const store = await odb.store();
  const proved = new Map<ObjectId, ObjectInfo>();
  const wanted = [...candidates.keys()].filter((oid) => local.has(oid));
  await using copies = await openLocalBlobs(odb.repo, wanted);
  const verify = async (oid: ObjectId) => {
    options.signal?.throwIfAborted();
    const call = { ...options, own: copies.own(oid) };
    const info = await store.verify(oid, call).catch((error: unknown) => isBroken(odb, oid, error));
    return info?.type === "blob" ? info : undefined;
  };
  for await (const info of inParallel(wanted, odb.config.concurrency ?? CONCURRENCY, verify)) {
    proved.set(info.oid, info);
    options.onVerified?.(info);
  }
  return proved;
}

function isBroken(odb: Odb, oid: ObjectId, cause: unknown): never {
  const { code, message } = toOdbError(cause);
  if (code !== "integrity") throw cause;
  throw new OdbError(
    "integrity",
    `${message} (in ODB ${odb.name}): nothing was dropped; "git odb put ${odb.name} ${oid}" sends it again`,
    { cause },
  );
}

/** Packs first, each by itself so that little room is needed, then loose copies. @returns bytes */
async function drop(repo: Repository, oids: ReadonlySet<ObjectId>): Promise<number> {
  let freed = 0;
  // Looked for again: git may have packed them since. git repack does not mind the lock.
  await whilePacksChange(async () => {
    const { packs, removable } = await findCopies(repo, oids);
    for (const pack of packs.keys()) {
      freed += await withPackWork(repo, (work) => rewritePacks(work, [pack], removable));
    }
    freed += await removeLoose(looseRoots(repo), removable);
  });
  // The list for plain HTTP, where one is kept.
  if (existsSync(join(repo.objectsDir, "info/packs"))) await repo.run(["update-server-info"]);
  return freed;
}

/** Without a promisor remote git knows of no promise, and would call every dropped blob missing. */
async function checkPromisor(repo: Repository, name: string): Promise<void> {
  const key = `remote.odb-${name}.promisor`;
  const found = (await readConfig(repo)).findLast((entry) => entry.key === key);
  if (found !== undefined && parseConfigBoolean(key, found.value)) return;
  throw new OdbError(
    "config",
    `git could not bring back what is dropped: ${key} is not set; run "git odb init ${name} <url>" again`,
  );
}

/** A pack from which blobs are gone has no full closure, and git gc fails when it is to write a bitmap for it. */
async function switchBitmapsOff(repo: Repository): Promise<boolean> {
  const keys = ["repack.writebitmaps", "pack.writebitmaps"];
  const set = (await readConfig(repo)).findLast(({ key }) => keys.includes(key));
  const wanted = set === undefined ? repo.bare : parseConfigBoolean(set.key, set.value);
  if (wanted) await setConfig(repo, "repack.writeBitmaps", "false");
  return wanted;
}
