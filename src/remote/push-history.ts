/** A branch whose `.gitattributes` changed in its history: what an older commit marks is selected, too. */

import { isObjectId, type ObjectId } from "../object/id.js";
import type { OdbConfig } from "../odb/config.js";
import { isOdbName } from "../odb/name.js";
import { selectedInRange } from "../odb/push-range.js";
import type { Selector } from "../odb/select.js";
import type { Repository } from "../repo/git.js";
import { type NewObjects, presentOf } from "./push-objects.js";

/**
 * Adds to the selected blobs those that some commit of the push selects by its own attributes: of what it adds or
 * changes, and of its whole tree where it changes a `.gitattributes`. Nothing is looked into unless one does.
 *
 * @param objects whose trees are all here
 * @param have ids of the remote's refs
 */
export async function selectByHistory(
  repo: Repository,
  objects: NewObjects,
  tips: readonly ObjectId[],
  have: readonly ObjectId[],
  odbs: ReadonlyMap<string, OdbConfig>,
): Promise<NewObjects> {
  // Of a single commit, the tip's attributes are all there is. Trees and blobs have a path, or a space in its stead.
  if (objects.packed.filter((line) => !line.includes(" ")).length < 2) return objects;
  const commits = await commitsOf(repo, tips);
  const exclude = await commitsOf(repo, await presentOf(repo, have));
  if (commits.length === 0 || !(await changesAttributes(repo, commits, exclude))) return objects;
  const range = { tips: commits, exclude };
  const found = await selectedInRange(repo, range, odbs, () => {}, anyOdb(odbs));
  const chosen = new Set(found.map(({ oid }) => oid));
  const packed: string[] = [];
  const selected = [...objects.selected];
  for (const line of objects.packed) {
    const oid = line.split(" ", 1)[0] as ObjectId;
    if (chosen.has(oid)) selected.push(oid);
    else packed.push(line);
  }
  return { ...objects, packed, selected };
}

/** Whichever ODB is named, the bucket itself is the store. */
function anyOdb(odbs: ReadonlyMap<string, OdbConfig>): Selector {
  const least = Math.min(...[...odbs.values()].map(({ minSize }) => minSize ?? Number.POSITIVE_INFINITY));
  return (value, _path, size) => {
    if (typeof value === "string") return isOdbName(value) ? value : undefined;
    return value === undefined && size !== undefined && size >= least ? "" : undefined;
  };
}

/** What the ids name, if it is a commit or a tag of one. */
async function commitsOf(repo: Repository, oids: readonly ObjectId[]): Promise<ObjectId[]> {
  const input = oids.map((oid) => `${oid}^{commit}\n`).join("");
  const commits: ObjectId[] = [];
  if (oids.length === 0) return commits;
  const args = ["cat-file", "--batch-check=%(objectname)"];
  for await (const line of repo.runLines(args, { input, env: { GIT_NO_LAZY_FETCH: "1" } })) {
    if (isObjectId(line)) commits.push(line);
  }
  return commits;
}

async function changesAttributes(
  repo: Repository,
  tips: readonly ObjectId[],
  exclude: readonly ObjectId[],
): Promise<boolean> {
  const lines = [...tips, ...exclude.map((oid) => `^${oid}`), "--", ":(top,glob)**/.gitattributes"];
  const text = await repo.text(["rev-list", "--max-count=1", "--full-history", "--stdin"], {
    input: lines.map((line) => `${line}\n`).join(""),
    env: { GIT_NO_LAZY_FETCH: "1" },
  });
  return text !== "";
}
