/**
 * The announcement of a removal. Nothing is removed from the bucket that is not in a list which `git-odb/refs` names.
 * To name it there is a compare-and-swap with a new epoch: so whoever moves refs afterwards has read it, and puts what it
 * needs of the list elsewhere; and whoever moved them before is seen by the run that removes (docs/adr/0007).
 */

import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { gcPrefix, REMOVING, readGcList, writeGcList } from "./gc-list.js";
import { type Collection, type RefTable, readRefs, replaceRefs } from "./refs-object.js";

/** A run may remove for so long, in milliseconds. */
const PATIENCE_MS = 12 * 3600 * 1000;

/** After so long the run of an announcement has ended, in whatever way. */
const EXPIRY_MS = 2 * PATIENCE_MS;

/** Others may be faster this many times. */
const ATTEMPTS = 100;

/** A removal that others know of. */
export interface Removal {
  /** The refs that were there when it was announced: what they do not need is needed by nobody. */
  readonly table: RefTable;
  /** What other runs may be removing. */
  readonly others: ReadonlySet<string>;
  /** To be asked before each key. @throws OdbError unavailable, when others may take this run for dead by now */
  checkTime(): void;
  /** Takes the announcement back. */
  end(): Promise<void>;
}

/** What the runs that go on now may remove, as far as `table` knows. */
export async function readDoomed(
  bucket: Bucket,
  { collection }: RefTable,
  options?: CallOptions,
): Promise<Set<string>> {
  const keys = new Set<string>();
  for (const name of collection?.removing ?? []) {
    // When it has gone so has the table that names it: a swap of it fails.
    const list = await readGcList(bucket, gcPrefix + name, options);
    for (const key of list?.candidates.keys() ?? []) keys.add(key);
  }
  return keys;
}

/**
 * Announces that these keys may be removed.
 *
 * @throws OdbError unsupported, without conditional writes
 */
export async function announceRemoval(
  bucket: Bucket,
  entries: readonly Entry[],
  graceMs: number,
  call: CallOptions,
): Promise<Removal> {
  if (!(await bucket.conditionalWrites(call))) {
    throw new OdbError(
      "unsupported",
      `${bucket.name} has no conditional writes: a push at the same time could lose what it needs, so nothing is removed`,
    );
  }
  const started = performance.now();
  const key = await writeGcList(bucket, entries, { graceMs, removing: true }, call);
  const own = key.slice(gcPrefix.length);
  const expired = await expiredLists(bucket, call);
  const table = await change(bucket, (names) => [...names.filter((name) => !expired.has(name)), own], call);
  const { collection } = table;
  const removing = collection?.removing.filter((name) => name !== own) ?? [];
  return {
    table,
    others: await readDoomed(bucket, { ...table, collection: { epoch: 0, removing } }, call),
    checkTime() {
      if (performance.now() - started < PATIENCE_MS) return;
      throw new OdbError("unavailable", `${bucket.name}: the collection has taken too long: run it again`);
    },
    async end() {
      await change(bucket, (names) => names.filter((name) => name !== own), call);
      await bucket.remove([key, ...[...expired].map((name) => gcPrefix + name)], call);
    },
  };
}

/** Names of lists whose runs are over: killed, or never announced. */
async function expiredLists(bucket: Bucket, call: CallOptions): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { key } of bucket.list(gcPrefix, call)) {
    if (!key.endsWith(REMOVING)) continue;
    const list = await readGcList(bucket, key, call);
    if (list && Date.now() - list.time.getTime() > EXPIRY_MS) names.add(key.slice(gcPrefix.length));
  }
  return names;
}

async function change(
  bucket: Bucket,
  edit: (removing: readonly string[]) => string[],
  call: CallOptions,
): Promise<RefTable> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const snapshot = await readRefs(bucket, call);
    const { epoch, removing }: Collection = snapshot.table.collection ?? { epoch: 0, removing: [] };
    const table = { ...snapshot.table, collection: { epoch: epoch + 1, removing: edit(removing) } };
    if ((await replaceRefs(bucket, snapshot, table, true, call)).written) return table;
  }
  throw new OdbError("unavailable", `${bucket.name}: others push all the time: run it again`);
}
