/**
 * Up to which commits an ODB has been seen to hold all selected blobs: `sent-<key>`, a commit a line. It only saves
 * looking again; what is lost of it is looked at anew.
 */

import { join } from "node:path";
import { isObjectId, type ObjectId } from "../object/id.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import type { OdbConfig } from "./config.js";
import { commitsOf, type PushRange, type RangeBlob, selectedInRange } from "./push-range.js";
import { readState, replaceState, stateDirectory, storeKey } from "./state.js";

/** Older ones are reached by newer ones, most probably. */
const KEPT = 100;

/**
 * The selected blobs, as far as they are here, of what the tips of a range reach and neither the range holds nor an
 * earlier run has looked at: it may have been pushed without its blobs, by a git push that no hook of ours saw.
 */
export async function unsentBlobs(
  repo: Repository,
  { tips, attributes, commits: inRange }: PushRange,
  odbs: ReadonlyMap<string, OdbConfig>,
): Promise<RangeBlob[]> {
  const able = new Map([...odbs].filter(([, { urls }]) => urls.length > 0));
  if (able.size === 0) return [];
  const exclude = await sentToAll(repo, [...able.values()]);
  const commits = await commitsOf(repo, { tips, exclude });
  if (attributes === undefined && inRange && [...commits.keys()].every((oid) => inRange.has(oid))) return [];
  // The attributes of commits that are long pushed are nobody's to mend.
  const blobs = await selectedInRange(repo, { tips, exclude, commits }, able, () => {});
  const here = new Set<ObjectId>();
  for await (const info of infosOf(repo, new Set(blobs.map(({ oid }) => oid)))) if (info) here.add(info.oid);
  return blobs.filter(({ oid }) => here.has(oid));
}

/** Notes that the ODBs hold all selected blobs of these commits and of what they reach. */
export async function markSent(
  repo: Repository,
  odbs: Iterable<OdbConfig>,
  tips: readonly string[],
): Promise<void> {
  for (const config of odbs) {
    if (config.urls.length === 0) continue;
    const marks = new Set([...tips, ...(await readMarks(repo, config))]);
    await replaceState(
      pathOf(repo, config),
      [...marks]
        .slice(0, KEPT)
        .map((oid) => `${oid}\n`)
        .join(""),
    );
  }
}

/** The commits, those that are here, up to which every one of the ODBs is known to hold all. */
async function sentToAll(repo: Repository, odbs: readonly OdbConfig[]): Promise<ObjectId[]> {
  const [first = [], ...others] = await Promise.all(odbs.map((config) => readMarks(repo, config)));
  const common = first.filter((oid) => others.every((marks) => marks.includes(oid)));
  const commits: ObjectId[] = [];
  for await (const info of infosOf(repo, common)) if (info?.type === "commit") commits.push(info.oid);
  return commits;
}

async function readMarks(repo: Repository, config: OdbConfig): Promise<ObjectId[]> {
  const content = await readState(pathOf(repo, config));
  return (content?.toString("latin1") ?? "").split("\n").filter(isObjectId);
}

/** Another store, or another size to select by, has another file. */
function pathOf(repo: Repository, { name, urls, minSize }: OdbConfig): string {
  return join(stateDirectory(repo, name), `sent-${storeKey([...urls, `minSize=${minSize}`])}`);
}
