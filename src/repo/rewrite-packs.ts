/** Packs anew without some of their objects, or several as one: by `git pack-objects`, which reuses what is packed. */

import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { Repository } from "./git.js";
import { loosePath } from "./loose-writer.js";
import type { PackWork } from "./pack-work.js";
import { type LocalPack, packEntries } from "./packs.js";

/**
 * Replaces packs by one without the objects of `drop`; by none when nothing is left. All that stays is in the new pack,
 * durable and checked, before an old one goes.
 *
 * @param packs all promisor packs or none, and none that is kept
 * @returns how many bytes the packs became smaller
 * @throws OdbError full; integrity, when a pack is damaged: then nothing has changed
 */
export async function rewritePacks(
  work: PackWork,
  packs: readonly LocalPack[],
  drop: ReadonlySet<ObjectId>,
): Promise<number> {
  const stay = new Set<ObjectId>();
  for (const { base } of packs) {
    for (const { oid } of await packEntries(base, work.repo.hash)) if (!drop.has(oid)) stay.add(oid);
  }
  const made = stay.size === 0 ? [] : await packObjects(work, stay);
  const promisor = packs.every((pack) => pack.promisor);
  for (const name of made) await work.place(name, { promisor });
  const old = packs.filter(({ name }) => !made.includes(name));
  const sizes = await Promise.all(made.map((name) => sizeOf(`${work.repo.objectsDir}/pack/${name}.pack`)));
  await work.remove(old.map(({ name }) => name));
  await work.release();
  return sum(packs.map(({ size }) => size)) - sum(sizes);
}

/** Removes loose copies. `roots`: object stores in git's loose layout. @returns the bytes they took */
export async function removeLoose(roots: readonly string[], oids: Iterable<ObjectId>): Promise<number> {
  let freed = 0;
  for (const oid of oids) {
    for (const root of roots) {
      const path = join(root, loosePath(oid));
      const size = await sizeOf(path);
      await rm(path, { force: true });
      freed += size;
    }
  }
  return freed;
}

/** @returns the names of the packs in the work folder: one, unless `pack.packSizeLimit` cuts it */
async function packObjects(work: PackWork, oids: ReadonlySet<ObjectId>): Promise<string[]> {
  async function* input() {
    for (const oid of oids) yield `${oid}\n`;
  }
  // What git leaves when the disk is full lies in the work folder, too: as an object store that borrows from the real one.
  const alternates = join(work.directory, "info/alternates");
  await mkdir(dirname(alternates), { recursive: true });
  await writeFile(alternates, `${work.repo.objectsDir}\n`);
  const env = { GIT_NO_LAZY_FETCH: "1", GIT_OBJECT_DIRECTORY: work.directory };
  const args = ["pack-objects", "-q", "--delta-base-offset", join(work.directory, "pack")];
  const text = await work.repo.text(args, { input: input(), env });
  const names = text.split("\n").map((checksum) => `pack-${checksum}`);
  await checkWhole(work.repo, work.directory, names, oids);
  return names;
}

/** @throws OdbError integrity, unless the new packs hold all that stays */
async function checkWhole(
  repo: Repository,
  directory: string,
  names: readonly string[],
  oids: ReadonlySet<ObjectId>,
): Promise<void> {
  const missing = new Set(oids);
  for (const name of names) {
    if (!isObjectId(name.slice("pack-".length)))
      throw new OdbError("bug", `git pack-objects: no checksum: ${name}`);
    for (const { oid } of await packEntries(join(directory, name), repo.hash)) missing.delete(oid);
  }
  const [first] = missing;
  if (first === undefined) return;
  throw new OdbError("integrity", `object ${first} is in no new pack: nothing was removed; run git fsck`);
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
