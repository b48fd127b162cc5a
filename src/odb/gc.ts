/** Keeping promisor packs few: every lazy fetch leaves one, and git looks through all of them for each object. */

import { withGcLock } from "../repo/gc-lock.js";
import type { Repository } from "../repo/git.js";
import { recoverPackWork, withPackWork } from "../repo/pack-work.js";
import { type LocalPack, listPacks, whilePacksChange } from "../repo/packs.js";
import { rewritePacks } from "../repo/rewrite-packs.js";

/** What {@link consolidatePacks} did. */
export interface GcReport {
  /** Promisor packs before and after. */
  readonly before: number;
  readonly after: number;
}

/** Each pack that is left is at least so many times as large as all smaller ones, as with `git repack --geometric`. */
const FACTOR = 2;

/**
 * Makes one promisor pack of many, and clears away what an interrupted command left. Large packs are left alone until
 * small ones add up, so that running it often costs little.
 *
 * @param all one pack, whatever the sizes
 * @throws OdbError conflict, when git gc runs; full: then nothing has changed
 */
export async function consolidatePacks(repo: Repository, { all = false } = {}): Promise<GcReport> {
  return await withGcLock(repo, async () => {
    await recoverPackWork(repo);
    return await whilePacksChange(async () => {
      const packs = await promisorPacks(repo);
      const small = all ? packs : rolledUp(packs);
      if (small.length > 1) await withPackWork(repo, (work) => rewritePacks(work, small, new Set()));
      return { before: packs.length, after: (await promisorPacks(repo)).length };
    });
  });
}

/** The packs that are to become one: from the smallest up to where the next is large enough to stay. */
export function rolledUp<P extends { readonly size: number }>(packs: readonly P[]): P[] {
  const sorted = [...packs].sort((a, b) => a.size - b.size);
  let total = 0;
  let count = 0;
  for (const [at, { size }] of sorted.entries()) {
    if (size < FACTOR * total) count = at + 1;
    total += size;
  }
  return sorted.slice(0, count);
}

async function promisorPacks(repo: Repository): Promise<LocalPack[]> {
  return (await listPacks(repo.objectsDir)).filter(({ promisor, kept }) => promisor && !kept);
}
