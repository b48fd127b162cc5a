/** Which bundles of a table a repository should fetch. */

import type { BundleEntry, BundleTable } from "./table.js";

/**
 * The bundles to fetch, in the order in which they can be taken: those newer than what the repository has taken
 * already. What turns out to need an older one gets it by `requires`, when its prerequisites are known.
 *
 * @param mark timestamp up to which the repository has had all bundles; 0 for none
 */
export function wantedBundles(table: BundleTable, mark: number): BundleEntry[] {
  const wanted = table.bundles.filter(({ timestamp }) => timestamp === undefined || timestamp > mark);
  return table.mode === "any" ? wanted.slice(-1) : inOrder(wanted);
}

/**
 * Bundles that are taken in together have no more than this in all, in bytes. git refuses a pack that has an object
 * twice, as when a file became again what it was: then they are taken one by one, and this much is soon done again.
 */
const TOGETHER = 8 << 20;

/**
 * Cuts the bundles into runs that can be taken in together. One whose size nobody knows is alone; so is one without
 * blobs, in which git does not look for what is there twice.
 */
export function groupsOf(entries: readonly BundleEntry[], isPartial: boolean): BundleEntry[][] {
  if (isPartial) return entries.map((entry) => [entry]);
  const groups: BundleEntry[][] = [];
  let room = 0;
  for (const entry of entries) {
    const { size = TOGETHER } = entry;
    const last = groups.at(-1);
    if (last === undefined || size > room) {
      groups.push([entry]);
      room = TOGETHER - size;
    } else {
      last.push(entry);
      room -= size;
    }
  }
  return groups;
}

/**
 * The mark after a fetch: the newest timestamp below which nothing failed.
 *
 * @param isTaken whether the bundle is in the repository now; asked only of what is newer than `mark`
 */
export function newMark(table: BundleTable, mark: number, isTaken: (entry: BundleEntry) => boolean): number {
  let reached = mark;
  for (const entry of table.bundles) {
    if (entry.timestamp === undefined || entry.timestamp <= mark) continue;
    if (!isTaken(entry)) break;
    reached = entry.timestamp;
  }
  return reached;
}

/** Each behind what it requires, else as they stand. */
function inOrder(entries: readonly BundleEntry[]): BundleEntry[] {
  const byUri = new Map(entries.map((entry) => [entry.uri, entry]));
  const ordered = new Set<BundleEntry>();
  for (const entry of entries) {
    const above: BundleEntry[] = [];
    // parseTable has refused circles.
    for (let at: BundleEntry | undefined = entry; at && !ordered.has(at); at = byUri.get(at.requires ?? "")) {
      above.push(at);
    }
    for (const each of above.reverse()) ordered.add(each);
  }
  return [...ordered];
}
