/** Which packs a fetch needs: those that hold the commits between what it wants and what is here. */

import type { ObjectId } from "../object/id.js";
import { type History, readHistory } from "../pack/history.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import type { BucketPack } from "../store/bucket-packs.js";
import { inParallel } from "../store/parallel.js";
import { type OpenPack, openPacks, type PackPlace, packReader } from "./pack-sources.js";

/** Packs looked into at the same time. */
const PARALLEL = 8;

/** What was chosen. */
export interface Choice {
  readonly chosen: readonly OpenPack[];
  /** All that were looked into, the chosen ones among them. */
  readonly opened: readonly OpenPack[];
}

/**
 * Looks into the packs, newest first and ever more at a time, until history is closed: each commit that is reached is in
 * one of them or here. Content that another branch brought may be in a pack that is not chosen.
 *
 * @param byAge newest first
 * @param atOnce so many are looked into first
 */
export async function choosePacks(
  repo: Repository,
  place: PackPlace,
  byAge: readonly BucketPack[],
  wants: readonly ObjectId[],
  atOnce: number,
): Promise<Choice> {
  const opened: OpenPack[] = [];
  const walk = new Walk(await absentOf(repo, wants));
  for (let count = Math.max(1, atOnce); walk.open.size > 0 && opened.length < byAge.length; count *= 2) {
    const next = await openPacks(place, byAge.slice(opened.length, opened.length + count));
    const histories = await historiesOf(place, next);
    for (const [at, one] of next.entries()) walk.add(one, histories[at] ?? new Map());
    opened.push(...next);
    walk.go();
    walk.open = new Set(await absentOf(repo, [...walk.open]));
  }
  return { chosen: opened.filter((one) => walk.chosen.has(one)), opened };
}

async function historiesOf(place: PackPlace, packs: readonly OpenPack[]): Promise<History[]> {
  const histories: History[] = [];
  const read = (one: OpenPack) => readHistory(packReader(place, one), one.source, place.hash);
  for await (const history of inParallel(packs, PARALLEL, read)) histories.push(history);
  return histories;
}

class Walk {
  /** Wanted, and not found yet. */
  open: Set<ObjectId>;
  readonly chosen = new Set<OpenPack>();
  readonly #places = new Map<ObjectId, { pack: OpenPack; links: readonly ObjectId[] }>();
  readonly #seen = new Set<ObjectId>();

  constructor(wants: readonly ObjectId[]) {
    this.open = new Set(wants);
  }

  /** What is in two packs is taken from the one that was there first. */
  add(pack: OpenPack, history: History): void {
    for (const { oid } of pack.source.entries) {
      if (!this.#places.has(oid)) this.#places.set(oid, { pack, links: history.get(oid) ?? [] });
    }
  }

  go(): void {
    const queue = [...this.open];
    for (let oid = queue.pop(); oid !== undefined; oid = queue.pop()) {
      if (this.#seen.has(oid)) continue;
      const place = this.#places.get(oid);
      if (place === undefined) {
        this.open.add(oid);
        continue;
      }
      this.#seen.add(oid);
      this.open.delete(oid);
      this.chosen.add(place.pack);
      queue.push(...place.links);
    }
  }
}

/** Those that are not here, without asking any remote. */
async function absentOf(repo: Repository, oids: readonly ObjectId[]): Promise<ObjectId[]> {
  const absent = new Set(oids);
  for await (const info of infosOf(repo, [...absent])) if (info !== undefined) absent.delete(info.oid);
  return [...absent];
}
