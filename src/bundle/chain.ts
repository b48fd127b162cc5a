/** A chain of bundles as it lies in a bucket, and how it is kept short. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { type BundleFilter, chainFolder, nameInTable, tableName } from "./files.js";
import { readBundleHeader } from "./header.js";
import type { Tips } from "./pack.js";
import { type BundleEntry, parseTable, TABLE_LIMIT } from "./table.js";

/** One bundle that is there. */
export interface Link {
  readonly name: string;
  readonly timestamp: number;
  readonly size: number;
  readonly sha256: string;
  /** What the refs are once this bundle and all before it are unbundled. */
  readonly tips: Tips;
}

/** A chain as its table lists it, oldest bundle first. */
export interface Chain {
  readonly hash: HashAlgorithm | undefined;
  readonly links: readonly Link[];
  /** URL of the folder that the table's URIs are in. */
  readonly baseUrl: string;
  /** Of the table, for compare-and-swap. */
  readonly etag: string | undefined;
}

/** A chain gets no longer than this. */
export const CHAIN_LIMIT = 12;

/** So many of the newest bundles stay as they are when older ones are merged. */
const KEPT_NEW = 6;

/**
 * Reads a chain: its table, and of each bundle the header.
 *
 * @returns undefined when there is no table
 * @throws OdbError config, conflict, when the table is not ours, or lists what is gone
 */
export async function readChain(
  bucket: Bucket,
  filter: BundleFilter | undefined,
  options: CallOptions = {},
): Promise<Chain | undefined> {
  const key = chainFolder(filter) + tableName;
  const where = `${bucket.name}/${key}`;
  const found = await bucket.read(key, options);
  if (found === undefined) return undefined;
  const { bundles } = parseTable((await collect(found.content, TABLE_LIMIT)).toString(), where);
  const links: Link[] = [];
  let tips: Tips = new Map();
  let hash: HashAlgorithm | undefined;
  for (const entry of bundles) {
    const name = nameInTable(entry.uri, where);
    const header = await readHeader(bucket, chainFolder(filter) + name, where, options);
    hash = header.hash;
    tips = new Map([...tips, ...header.refs]);
    links.push({ name, tips, ...measured(entry, where) });
  }
  const first = bundles[0]?.uri ?? "";
  return { hash, links, baseUrl: first.slice(0, first.lastIndexOf("/")), etag: found.entry.etag };
}

/** Which neighbouring links are to become one: those from `from` up to `to`, the latter left out. */
export interface Merge {
  readonly from: number;
  readonly to: number;
}

/**
 * Decides what to merge so that a chain gets no longer than {@link CHAIN_LIMIT}: of all but the newest bundles the last
 * two become one, and with them those below, as long as what is merged is at least half of the next one's size. So
 * bundles grow towards the old end, and a byte is written again only when it comes into one that is half as large again.
 * A reader who is up to date need not fetch a merged bundle, for it takes the timestamp of the newest in it.
 *
 * @param sizes of the bundles in bytes, oldest first
 */
export function planMerge(sizes: readonly number[]): Merge | undefined {
  if (sizes.length <= CHAIN_LIMIT) return undefined;
  const to = sizes.length - KEPT_NEW;
  let from = to - 2;
  let merged = (sizes[from] ?? 0) + (sizes[to - 1] ?? 0);
  for (; from > 0 && merged * 2 >= (sizes[from - 1] ?? 0); from--) merged += sizes[from - 1] ?? 0;
  return { from, to };
}

/** What `to` says otherwise than `from`, or only it says. */
export function changedTips(from: Tips, to: Tips): Map<string, ObjectId> {
  return new Map([...to].filter(([ref, oid]) => from.get(ref) !== oid));
}

async function readHeader(bucket: Bucket, key: string, table: string, options: CallOptions) {
  const body = await bucket.read(key, options);
  if (body === undefined) {
    throw new OdbError(
      "conflict",
      `${table} lists ${key}, which is gone from ${bucket.name}: begin a new chain by git odb bundle create --force`,
    );
  }
  return (await readBundleHeader(body.content, `${bucket.name}/${key}`)).header;
}

function measured({ uri, timestamp, size, sha256 }: BundleEntry, table: string) {
  if (timestamp !== undefined && size !== undefined && sha256 !== undefined) {
    return { timestamp, size, sha256 };
  }
  throw new OdbError(
    "conflict",
    `${table}: ${uri} has no timestamp, size or sha256: not made by git odb bundle`,
  );
}
