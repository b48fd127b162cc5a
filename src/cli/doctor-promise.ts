/** `git odb doctor`: what git does without, by the promise trees, must be in the stores; and git gc must bear it. */

import { toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { promiseRef, readPromised } from "../odb/promise.js";
import { openOdb } from "../odb/session.js";
import { localObjects } from "../odb/survey.js";
import { parseConfigBoolean } from "../repo/config.js";
import { gitCredentials } from "../repo/credential.js";
import type { ObjectStore } from "../store/store.js";
import { counted } from "./count.js";
import { configValue, type Finding, type Patient } from "./doctor-finding.js";

/** Above it a listing of the store is sooner than a question for each object. */
const STAT_LIMIT = 200;

export async function* checkPromises(patient: Patient): AsyncGenerator<Finding> {
  for (const name of patient.odbs.keys()) {
    const promised = await readPromised(patient.repo, name).catch((error: unknown) => toOdbError(error));
    if (promised instanceof Error) {
      yield { check: "promise", state: "bad", message: promised.message, fix: startAnew(name) };
    } else if (promised.tree !== undefined) {
      yield* checkPromise(name, promised.tree, promised.oids, patient);
      yield* checkBitmaps(patient);
    }
  }
}

async function* checkPromise(
  name: string,
  tree: ObjectId,
  promised: ReadonlySet<ObjectId>,
  patient: Patient,
): AsyncGenerator<Finding> {
  const check = "promise";
  if (!(await isInPromisorPack(tree, patient))) {
    const message = `${promiseRef(name)} is in no promisor pack: git fsck and git gc miss the blobs of ODB ${name}`;
    yield { check, state: "bad", message, fix: startAnew(name) };
  }
  const local = await localObjects(patient.repo, [...promised]);
  const away = [...promised].filter((oid) => !local.has(oid));
  const lost = await notInStore(name, away, patient);
  if (lost === undefined) return;
  for (const oid of lost.slice(0, 3)) {
    const message = `object ${oid} is promised by ODB ${name}, but neither here nor in its store`;
    yield { check, state: "bad", message, fix: `git odb put ${name} ${oid}, in a clone that has it` };
  }
  if (lost.length > 3) {
    yield {
      check,
      state: "bad",
      message: `${lost.length - 3} more objects of ODB ${name} are lost likewise`,
    };
  }
  if (lost.length === 0) {
    const message = `ODB ${name}: ${counted(promised.size, "blob")} promised, ${away.length} not here, all of them in the store`;
    yield { check, state: "ok", message };
  }
}

/** Everything is brought back; the next offload promises again what it drops. */
function startAnew(name: string): string {
  return `git odb fetch --all && git update-ref -d ${promiseRef(name)}`;
}

/** git takes the tree for one whose blobs can be fetched: then a walk over it meets nothing that is missing. */
async function isInPromisorPack(tree: ObjectId, { repo }: Patient): Promise<boolean> {
  const args = ["rev-list", "--objects", "--no-object-names", "--exclude-promisor-objects", tree];
  const { status, stdout } = await repo.run(args, { env: { GIT_NO_LAZY_FETCH: "1" }, okStatus: [0, 1, 128] });
  return status === 0 && stdout.length === 0;
}

/** @returns undefined when the store cannot be asked, which is reported elsewhere */
async function notInStore(
  name: string,
  oids: readonly ObjectId[],
  { repo, signal }: Patient,
): Promise<ObjectId[] | undefined> {
  if (oids.length === 0) return [];
  const bucket = { retry: false, credentials: gitCredentials(repo) } as const;
  await using odb = await openOdb(repo, name, { bucket });
  try {
    const store = await odb.store();
    return oids.length > STAT_LIMIT
      ? await notListed(store, oids, signal)
      : await notFound(store, oids, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (toOdbError(error).code === "bug") throw error;
    return undefined;
  }
}

async function notListed(
  store: ObjectStore,
  oids: readonly ObjectId[],
  signal: AbortSignal,
): Promise<ObjectId[]> {
  const left = new Set(oids);
  for await (const { oid } of store.list({ signal, onBad: () => {} })) left.delete(oid);
  return [...left];
}

async function notFound(
  store: ObjectStore,
  oids: readonly ObjectId[],
  signal: AbortSignal,
): Promise<ObjectId[]> {
  const lost: ObjectId[] = [];
  for (const oid of oids) if ((await store.stat(oid, { signal })) === undefined) lost.push(oid);
  return lost;
}

function* checkBitmaps(patient: Patient): Generator<Finding> {
  const set = configValue(patient, "repack.writebitmaps") ?? configValue(patient, "pack.writebitmaps");
  const writes = set === undefined ? patient.repo.bare : parseConfigBoolean("repack.writeBitmaps", set);
  if (!writes) return;
  const message = "git gc fails to write a bitmap of a repository without its big files";
  yield { check: "bitmaps", state: "bad", message, fix: "git config repack.writeBitmaps false" };
}
