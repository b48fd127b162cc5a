/** Brings the bundles of a table into a repository: downloads in parallel, each taken in once it is proved. */

import type { Repository } from "../repo/git.js";
import { clearLeftBehind } from "../repo/left-behind.js";
import { type FetchOptions, type FetchResult, Intake } from "./intake.js";
import { groupsOf, newMark, wantedBundles } from "./plan.js";
import { Mark, readBundleConfig } from "./state.js";
import type { BundleTable } from "./table.js";
import { openWorkplace } from "./workplace.js";

/**
 * Takes in what the repository lacks of the table's bundles. A bundle only saves work: one that cannot be used is told
 * and left out, and the mark stays below it. The mark moves with what is in, so that a run that is killed is gone on
 * with.
 *
 * @param url of the table, under which the mark is remembered
 */
export async function fetchBundles(
  repo: Repository,
  url: string,
  table: BundleTable,
  options: FetchOptions,
): Promise<FetchResult> {
  await using workplace = await openWorkplace(repo);
  await clearLeftBehind(repo);
  const config = await readBundleConfig(repo);
  const { isPartial } = config;
  const mark = new Mark(repo, url, table, config);
  const wanted = wantedBundles(table, mark.start);
  await using intake = new Intake({ repo, workplace, table, isPartial, options });
  await workplace.keepOnly(wanted);
  await intake.begin(wanted);
  // One after the other: git does not wait for the lock of its config.
  const settings = (options.meanwhile?.() ?? Promise.resolve()).then(() => mark.begin());
  let reached = mark.start;
  for (const group of groupsOf(wanted, isPartial)) {
    await Promise.all([settings, intake.takeAll(group)]);
    const now = newMark(table, mark.start, (each) => intake.has(each));
    if (now > reached) await mark.reach(now);
    reached = now;
  }
  await settings;
  // What the mark tells needs no other note.
  await workplace.keepOnly(wanted.filter(({ timestamp }) => timestamp === undefined || timestamp > reached));
  return intake.result();
}
