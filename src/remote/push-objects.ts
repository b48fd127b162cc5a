/** Which objects a push has to bring: all that the new refs reach and the remote's refs do not, told apart by kind. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { readOdbConfig } from "../odb/config.js";
import { isOdbName } from "../odb/name.js";
import { checkAttribute } from "../repo/attributes.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { type Listed, walkObjects } from "./walk.js";

/** What a push brings. */
export interface NewObjects {
  /** Lines for `git pack-objects`: `<oid> <path>`. */
  readonly packed: readonly string[];
  /** Blobs that go to the bucket as objects of their own. */
  readonly selected: readonly ObjectId[];
  /** What this repository lacks: promised by a remote, so perhaps by the very one that is pushed to. */
  readonly missing: readonly ObjectId[];
}

/**
 * Walks from `tips` down to `have`. A blob is selected when the `odb` attribute of its path, in the tree of the tip
 * that brings it, names an ODB (any: the bucket itself is the store), or by the smallest `odb.<name>.minSize`.
 *
 * @param have ids of the remote's refs; those that are not here are passed over
 * @throws OdbError unsupported, when the history to be pushed is cut off (a shallow clone)
 */
export async function newObjects(
  repo: Repository,
  tips: readonly ObjectId[],
  have: readonly ObjectId[],
): Promise<NewObjects> {
  const known = await presentOf(repo, have);
  const packed: string[] = [];
  const selected = new Set<ObjectId>();
  const missing = new Set<ObjectId>();
  const above = await smallestSize(repo);
  const done: ObjectId[] = [];
  for (const group of await groupByAttributes(repo, tips)) {
    const walked = await walkObjects(repo, group, [...known, ...done]);
    for (const oid of walked.missing) missing.add(oid);
    const chosen = await selectBlobs(repo, walked.objects, group, above);
    for (const { oid, line } of walked.objects) {
      if (chosen.has(oid)) selected.add(oid);
      else packed.push(line);
    }
    done.push(...group);
  }
  await refuseCut(repo, packed);
  return { packed, selected: [...selected], missing: [...missing] };
}

/** Those of the objects that are here, without asking any remote. */
export async function presentOf(repo: Repository, oids: readonly ObjectId[]): Promise<ObjectId[]> {
  const distinct = [...new Set(oids)];
  if (distinct.length === 0) return [];
  const present: ObjectId[] = [];
  for await (const info of infosOf(repo, distinct)) if (info !== undefined) present.push(info.oid);
  return present;
}

/** Tips with the same top `.gitattributes` are looked at together: mostly all of them. */
async function groupByAttributes(repo: Repository, tips: readonly ObjectId[]): Promise<ObjectId[][]> {
  const distinct = [...new Set(tips)];
  const groups = new Map<string, ObjectId[]>();
  const input = distinct.map((oid) => `${oid}:.gitattributes\n`).join("");
  let at = 0;
  const args = ["cat-file", "--batch-check=%(objectname)"];
  for await (const line of repo.runLines(args, { input })) {
    const oid = distinct[at++];
    const key = isObjectId(line) ? line : "";
    if (oid !== undefined) groups.set(key, [...(groups.get(key) ?? []), oid]);
  }
  return [...groups.values()];
}

async function selectBlobs(
  repo: Repository,
  objects: readonly Listed[],
  tips: readonly ObjectId[],
  above: number,
): Promise<Set<ObjectId>> {
  const chosen = new Set<ObjectId>();
  const source = await treeish(repo, tips);
  const withPath = objects.filter(({ path }) => path !== undefined);
  if (source === undefined || withPath.length === 0) return chosen;
  const candidates: { oid: ObjectId; named: boolean }[] = [];
  const paths = withPath.map(({ path }) => Buffer.from(path ?? "", "latin1"));
  let at = 0;
  for await (const value of checkAttribute(repo, "odb", paths, { source })) {
    const oid = withPath[at++]?.oid;
    const named = typeof value === "string" && isOdbName(value);
    if (oid !== undefined && (named || (value === undefined && above !== Number.POSITIVE_INFINITY))) {
      candidates.push({ oid, named });
    }
  }
  at = 0;
  for await (const info of infosOf(
    repo,
    candidates.map(({ oid }) => oid),
  )) {
    const { named } = candidates[at++] ?? { named: false };
    if (info?.type === "blob" && (named || info.size >= above)) chosen.add(info.oid);
  }
  return chosen;
}

/** The first of the tips that has a tree: a ref may point to a blob. */
async function treeish(repo: Repository, tips: readonly ObjectId[]): Promise<ObjectId | undefined> {
  const input = tips.map((oid) => `${oid}^{tree}\n`).join("");
  for await (const line of repo.runLines(["cat-file", "--batch-check=%(objectname)"], { input })) {
    if (isObjectId(line)) return line;
  }
  return undefined;
}

async function smallestSize(repo: Repository): Promise<number> {
  const odbs = await readOdbConfig(repo);
  return Math.min(
    Number.POSITIVE_INFINITY,
    ...[...odbs.values()].map((odb) => odb.minSize ?? Number.POSITIVE_INFINITY),
  );
}

/** A commit at the edge of a shallow clone has parents that would be missing in the bucket. */
async function refuseCut(repo: Repository, lines: readonly string[]): Promise<void> {
  const text = await repo.text(["rev-parse", "--is-shallow-repository"]);
  if (text !== "true") return;
  const shallow = new Set((await readShallow(repo)).split("\n"));
  if (!lines.some((line) => shallow.has(line))) return;
  throw new OdbError("unsupported", 'shallow update not allowed: run "git fetch --unshallow" first');
}

async function readShallow(repo: Repository): Promise<string> {
  return await readFile(join(repo.commonDir, "shallow"), "latin1");
}
