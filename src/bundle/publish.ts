/** Makes a chain visible, by compare-and-swap, and takes away what no table names any more. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect, sourceOf } from "../object/content.js";
import { formatBundleList } from "./bundle-list.js";
import type { Link } from "./chain.js";
import { type BundleFilter, chainFolder, expiredFolder, isBundleName, listName, tableName } from "./files.js";
import { type BundleEntry, formatTable, parseTable, TABLE_LIMIT } from "./table.js";

/** Tries for git's list, which others may write at the same time. */
const LIST_ATTEMPTS = 10;

/** The entries of a table for these links. */
export function entriesOf(
  links: readonly Link[],
  baseUrl: string,
  filter: BundleFilter | undefined,
): BundleEntry[] {
  const uriOf = ({ name }: Link) => `${baseUrl}/${name}`;
  return links.map((link, n) => {
    const below = links[n - 1];
    return {
      uri: uriOf(link),
      timestamp: link.timestamp,
      ...(below && { requires: uriOf(below) }),
      size: link.size,
      sha256: link.sha256,
      ...(filter && { filter }),
    };
  });
}

/**
 * Publishes `bundles.json`, the one truth, if it is still the one that was read.
 *
 * @param etag of the table that was read; undefined when there was none
 * @returns false when somebody else was first
 */
export async function publishTable(
  bucket: Bucket,
  filter: BundleFilter | undefined,
  entries: readonly BundleEntry[],
  etag: string | undefined,
  options: CallOptions = {},
): Promise<boolean> {
  const condition = etag === undefined ? { ifAbsent: true } : { ifMatch: etag };
  const outcome = await bucket.write(chainFolder(filter) + tableName, sourceOf(formatTable(entries)), {
    ...options,
    ...condition,
    contentType: "application/json",
  });
  return outcome.written;
}

/**
 * Makes git's list say what the table says. It is read before the table: so whoever writes last has seen the newest
 * table, and a run that was killed between the two is mended by the next.
 */
export async function publishList(
  bucket: Bucket,
  filter: BundleFilter | undefined,
  options: CallOptions = {},
): Promise<void> {
  const folder = chainFolder(filter);
  for (let attempt = 0; attempt < LIST_ATTEMPTS; attempt++) {
    const list = await readSmall(bucket, folder + listName, options);
    const wanted = formatBundleList(await readEntries(bucket, folder, options));
    if (list?.bytes.equals(wanted)) return;
    const condition = list?.etag === undefined ? { ifAbsent: true } : { ifMatch: list.etag };
    const outcome = await bucket.write(folder + listName, sourceOf(wanted), {
      ...options,
      ...condition,
      contentType: "text/plain",
    });
    if (outcome.written) return;
  }
  throw new OdbError(
    "conflict",
    `${bucket.name}/${folder}${listName} keeps changing: run git odb bundle update again`,
  );
}

/**
 * Removes bundles that no table has named for `graceMs`: they were merged, or a run ended before it published them.
 * The time runs from when one is first seen like that, which a mark beside it records.
 *
 * @returns how many were removed
 */
export async function removeExpired(
  bucket: Bucket,
  filter: BundleFilter | undefined,
  graceMs: number,
  options: CallOptions = {},
): Promise<number> {
  const folder = chainFolder(filter);
  const named = new Set((await readEntries(bucket, folder, options)).map(({ uri }) => uri.split("/").at(-1)));
  const marks = await namesBelow(bucket, folder + expiredFolder, options);
  const gone: string[] = [];
  for (const name of await namesBelow(bucket, folder, options)) {
    if (named.has(name)) continue;
    const mark = folder + expiredFolder + name;
    if (await isOver(bucket, mark, marks.has(name), graceMs, options)) gone.push(folder + name);
    else marks.delete(name);
  }
  await bucket.remove(gone, options);
  // Of those removed just now, by an earlier run, or named again.
  const left = [...marks].map((name) => folder + expiredFolder + name);
  await bucket.remove(left, options);
  return gone.length;
}

/** Whether the mark is old enough; it is made if there is none. */
async function isOver(
  bucket: Bucket,
  mark: string,
  isThere: boolean,
  graceMs: number,
  options: CallOptions,
): Promise<boolean> {
  const now = Math.floor(Date.now() / 1000);
  const held = isThere ? await readSmall(bucket, mark, options) : undefined;
  const since = Number(held?.bytes.toString() ?? now);
  if (held === undefined) await bucket.write(mark, sourceOf(Buffer.from(`${now}\n`)), options);
  return now - (Number.isFinite(since) ? since : now) >= graceMs / 1000;
}

async function namesBelow(bucket: Bucket, folder: string, options: CallOptions): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { key } of bucket.list(`${folder}bundle-`, options)) {
    const name = key.slice(folder.length);
    if (isBundleName(name)) names.add(name);
  }
  return names;
}

async function readEntries(
  bucket: Bucket,
  folder: string,
  options: CallOptions,
): Promise<readonly BundleEntry[]> {
  const table = await readSmall(bucket, folder + tableName, options);
  if (table === undefined) throw new OdbError("conflict", `${bucket.name}/${folder}${tableName} is gone`);
  return parseTable(table.bytes.toString(), `${bucket.name}/${folder}${tableName}`).bundles;
}

async function readSmall(bucket: Bucket, key: string, options: CallOptions) {
  const body = await bucket.read(key, options);
  return body && { bytes: await collect(body.content, TABLE_LIMIT), etag: body.entry.etag };
}
