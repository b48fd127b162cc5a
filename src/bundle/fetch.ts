/** Brings the bundles of a table into a repository: downloads in parallel, each taken in once it is proved. */

import type { Repository } from "../repo/git.js";
import { type FetchOptions, type FetchResult, Intake } from "./intake.js";
import { newMark, wantedBundles } from "./plan.js";
import { openWorkplace, readMark, writeMark } from "./state.js";
import type { BundleTable } from "./table.js";

/**
 * Takes in what the repository lacks of the table's bundles. A bundle only saves work: one that cannot be used is told
 * and left out, and the mark stays below it. The mark moves with every bundle that is in, so that a run that is killed
 * is gone on with.
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
  const isPartial = await hasPromisor(repo);
  const mark = await readMark(repo, url, table);
  const wanted = wantedBundles(table, mark);
  await using intake = new Intake({ repo, workplace, table, isPartial, options });
  await writeMark(repo, url, table, mark);
  intake.begin(wanted);
  let reached = mark;
  for (const entry of wanted) {
    await intake.take(entry);
    const now = newMark(table, mark, (each) => intake.has(each));
    if (now > reached) await writeMark(repo, url, table, now);
    reached = now;
  }
  return intake.result();
}

/** Whether a remote has promised objects that may be missing here. */
async function hasPromisor(repo: Repository): Promise<boolean> {
  const keys = "^(remote\\..*\\.(promisor|partialclonefilter)|extensions\\.partialclone)$";
  const { status } = await repo.run(["config", "--get-regexp", keys], { okStatus: [0, 1] });
  return status === 0;
}
