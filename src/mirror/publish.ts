/** Changing the tables of a mirror, each by compare-and-swap: a run that lost to another changes nothing. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { sourceOf } from "../object/content.js";
import { formatPacks, packsKey, parsePacks, readTable, refsKey, type Table } from "./target.js";

/** Tries to change the table of packs while others change it, too. */
const TRIES = 10;

const LIMIT = 16 * 1024 * 1024;

/**
 * Changes `objects/info/packs`. The change is made again on what another run has written meanwhile, so that none
 * of its packs is lost.
 *
 * @param change from the names that are listed to those that shall be; it may be called again
 * @param known the table as it was read a while ago: believed until a write finds it changed
 * @returns the names listed now
 * @throws OdbError conflict, when others change it all the time
 */
export async function changePacks(
  bucket: Bucket,
  change: (names: readonly string[]) => readonly string[],
  options: CallOptions,
  known?: Table,
): Promise<readonly string[]> {
  for (let tries = 0; tries < TRIES; tries++) {
    const found = tries === 0 && known ? known : await readTable(bucket, packsKey, LIMIT, options);
    const names = change(found ? parsePacks(found.bytes) : []);
    const bytes = formatPacks(names);
    if (found?.bytes.equals(bytes)) return names;
    if (await swap(bucket, packsKey, found, bytes, options)) return names;
  }
  throw new OdbError(
    "conflict",
    `${bucket.name}/${packsKey} is changed by others all the time: run it again`,
  );
}

/** Publishes the refs: the point from which readers see the new state. @throws OdbError conflict */
export async function publishRefs(
  bucket: Bucket,
  found: Table | undefined,
  infoRefs: Buffer,
  options: CallOptions,
): Promise<void> {
  if (found?.bytes.equals(infoRefs)) return;
  if (await swap(bucket, refsKey, found, infoRefs, options)) return;
  throw new OdbError("conflict", `${bucket.name}: somebody else changed its refs meanwhile: run it again`);
}

/** @returns whether the key was still what was `found` */
export async function swap(
  bucket: Bucket,
  key: string,
  found: Pick<Table, "etag"> | undefined,
  bytes: Buffer,
  options: CallOptions,
): Promise<boolean> {
  const condition = found === undefined ? { ifAbsent: true } : { ifMatch: etagOf(found, bucket, key) };
  const contentType = "text/plain";
  const outcome = await bucket.write(key, sourceOf(bytes), { ...options, ...condition, contentType });
  return outcome.written;
}

/** @throws OdbError unsupported */
function etagOf({ etag }: Pick<Table, "etag">, bucket: Bucket, key: string): string {
  if (etag !== undefined) return etag;
  throw new OdbError("unsupported", `${bucket.name}/${key} has no etag: this bucket cannot hold a mirror`);
}
