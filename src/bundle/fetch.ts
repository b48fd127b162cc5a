/** Brings the bundles of a table into a repository: downloads in parallel, each taken in once it is proved. */

import type { Repository } from "../repo/git.js";
import { clearLeftBehind } from "../repo/left-behind.js";
import { type FetchOptions, type FetchResult, Intake } from "./intake.js";
import { groupsOf, newMark, wantedBundles } from "./plan.js";
import { type BundleConfig, Mark, readBundleConfig } from "./state.js";
import type { BundleEntry, BundleTable } from "./table.js";
import { openWorkplace, type Workplace } from "./workplace.js";

/**
 * Takes in what the repository lacks of the table's bundles. A bundle only saves work: one that cannot be used is told
 * and left out, and the mark stays below it. The mark moves with what is in, so that a run that is killed is gone on
 * with.
 *
 * @param url of the table, under which the mark is remembered
 * @param known what the repository's config says; read if not given
 */
export async function fetchBundles(
  repo: Repository,
  url: string,
  table: BundleTable,
  options: FetchOptions,
  known?: BundleConfig,
): Promise<FetchResult> {
  await using workplace = await openWorkplace(repo);
  await clearLeftBehind(repo);
  const config = known ?? (await readBundleConfig(repo));
  const { isPartial } = config;
  const mark = new Mark(repo, url, table, config);
  const wanted = wantedBundles(table, mark.start);
  await using intake = new Intake({ repo, workplace, table, isPartial, options });
  await workplace.keepOnly(wanted);
  await intake.begin(wanted);
  // One after the other: git does not wait for the lock of its config.
  let marked = (options.meanwhile?.() ?? Promise.resolve()).then(() => mark.begin());
  // A failure is for whoever waits at the end.
  marked.catch(() => {});
  let cleared = Promise.resolve();
  try {
    let reached = mark.start;
    for (const group of groupsOf(wanted, isPartial)) {
      await intake.takeAll(group);
      const before = reached;
      const now = newMark(table, mark.start, (each) => intake.has(each));
      const taken = intake.newlyTaken();
      reached = now;
      // While the next ones are indexed.
      marked = marked.then(() => (now > before ? mark.reach(now) : undefined));
      cleared = Promise.all([cleared, marked]).then(() => note(workplace, taken, now));
      cleared.catch(() => {});
    }
    const left = wanted.filter((entry) => !isTold(entry, reached));
    cleared = Promise.all([cleared, marked]).then(() => workplace.keepOnly(left));
    const result = intake.result();
    await Promise.all([cleared, options.afterwards?.(result, marked)]);
    return result;
  } finally {
    // Nothing of ours goes on when the repository is another's turn.
    await Promise.allSettled([marked, cleared]);
  }
}

/** Throws away the files of bundles that are in. What the mark tells needs no other note. */
async function note(workplace: Workplace, taken: readonly BundleEntry[], mark: number): Promise<void> {
  for (const entry of taken)
    await (isTold(entry, mark) ? workplace.forget(entry) : workplace.setTaken(entry));
}

function isTold({ timestamp }: BundleEntry, mark: number): boolean {
  return timestamp !== undefined && timestamp <= mark;
}
