/** Brings promised objects of a store into the repository: one parallel download, one promisor pack. */

import { OdbError } from "../errors.js";
import { algorithmOf, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import type { Progress } from "../progress.js";
import { writePromisorPack } from "../repo/promisor-pack.js";
import { type GatheredObject, gather } from "../store/gather.js";
import type { ObjectStore } from "../store/store.js";
import { privateFolder } from "./private-folder.js";

/** How {@link fetchObjects} works. */
export interface FetchObjectsOptions {
  /** Objects asked for at the same time. */
  readonly parallel?: number;
  /** Told of an object whose bytes in the store are not the object: it is not installed. */
  readonly onBad?: (oid: ObjectId, error: OdbError) => void;
  /** Counts objects and bytes. */
  readonly progress?: Pick<Progress, "add" | "through">;
  readonly signal?: AbortSignal;
}

/** What a fetch brought. */
export interface Fetched {
  /** Installed. */
  readonly objects: readonly ObjectInfo[];
  /** Asked for, and not in the store. */
  readonly missing: readonly ObjectId[];
  /** Broken in the store. */
  readonly bad: readonly ObjectId[];
}

/** So often is a pack written that a gc of git's takes away while it is being written. */
const TRIES = 3;

/**
 * Fetches these objects, each once. What the store has is installed even when some are missing or broken, or when the
 * store fails in between; running it again brings the rest.
 *
 * @param objectsDir the object store to write into
 * @throws OdbError unavailable, denied, … of the store, after what had arrived is installed; full; conflict, when
 *   somebody goes on removing what is written
 */
export async function fetchObjects(
  store: ObjectStore,
  oids: readonly ObjectId[],
  objectsDir: string,
  options: FetchObjectsOptions = {},
): Promise<Fetched> {
  const wanted = [...new Set(oids)];
  const told = new Set<ObjectId>();
  const onBad = (oid: ObjectId, error: OdbError) => {
    if (!told.has(oid)) options.onBad?.(oid, error);
    told.add(oid);
  };
  for (let tries = 1; ; tries++) {
    const arrived: ObjectInfo[] = [];
    try {
      return await fetchOnce(store, wanted, objectsDir, arrived, { ...options, onBad });
    } catch (error) {
      const isSwept = error instanceof OdbError && error.code === "conflict";
      if (!isSwept || tries === TRIES) throw error;
      options.progress?.add(-arrived.length);
    }
  }
}

async function fetchOnce(
  store: ObjectStore,
  wanted: readonly ObjectId[],
  objectsDir: string,
  arrived: ObjectInfo[],
  options: FetchObjectsOptions,
): Promise<Fetched> {
  const [first] = wanted;
  if (first === undefined) return { objects: [], missing: [], bad: [] };
  const missing: ObjectId[] = [];
  const bad: ObjectId[] = [];
  const onBad = (oid: ObjectId, error: OdbError) => {
    bad.push(oid);
    options.onBad?.(oid, error);
  };
  await using folder = privateFolder(objectsDir);
  const objects = gather(store, wanted, {
    parallel: Math.min(options.parallel ?? PARALLEL, wanted.length),
    directory: folder.path,
    onMissing: (oid) => missing.push(oid),
    onBad,
    ...(options.signal && { signal: options.signal }),
  });
  await writePromisorPack(
    { objectsDir, hash: algorithmOf(first) },
    counted(objects, arrived, options.progress),
    { expected: wanted.length, keepPartial: true, onFailure: ({ oid }, error) => onBad(oid, error) },
  );
  return { objects: arrived.filter(({ oid }) => !bad.includes(oid)), missing, bad };
}

/** Objects at the same time: with 20 ms to the store, a processor is busy with about so many. */
const PARALLEL = 48;

async function* counted(
  objects: AsyncIterable<GatheredObject>,
  arrived: ObjectInfo[],
  progress: FetchObjectsOptions["progress"],
): AsyncGenerator<GatheredObject> {
  for await (const { info, open } of objects) {
    yield { info, open: () => progress?.through(open()) ?? open() };
    arrived.push(info);
    progress?.add(1);
  }
}
