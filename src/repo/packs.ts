/** The packs of the repository's own object store as they lie on disk: gitrepository-layout(5), gitformat-pack(5). */

import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { type IndexEntry, openIndex, type PackIndex } from "../pack/idx.js";

/** A pack with its index. Those of alternates are none of ours. */
export interface LocalPack {
  /** `pack-<checksum>`. */
  readonly name: string;
  /** Its path without the extension. */
  readonly base: string;
  /** Bytes of the pack itself. */
  readonly size: number;
  /** All its objects, and what they refer to, can be fetched again: git leaves both out of gc (`.promisor`). */
  readonly promisor: boolean;
  /** Somebody wants it left as it is (`.keep`), a fetch under way perhaps. */
  readonly kept: boolean;
}

/** Whole packs only: what has no index is being written or removed. */
export async function listPacks(objectsDir: string): Promise<LocalPack[]> {
  const folder = join(objectsDir, "pack");
  const files = new Set(await readdir(folder).catch(absentIsEmpty));
  const packs: LocalPack[] = [];
  for (const file of [...files].sort()) {
    const name = /^(pack-[0-9a-f]+)\.idx$/.exec(file)?.[1];
    if (name === undefined || !files.has(`${name}.pack`)) continue;
    const base = join(folder, name);
    const found = await stat(`${base}.pack`).catch(absentIsUndefined);
    if (found === undefined) continue;
    // Looked for now: they come before the index, but a listing need not show what came while it was made.
    const has = async (extension: string) =>
      (await stat(`${base}.${extension}`).catch(absentIsUndefined)) !== undefined;
    const [promisor, kept] = await Promise.all([has("promisor"), has("keep")]);
    packs.push({ name, base, size: found.size, promisor, kept });
  }
  return packs;
}

/** So often is looked again for packs that a repack replaces meanwhile. */
const LOOKS = 5;

/**
 * Runs `look` again from its beginning, a few times, when a pack that it had found went away before it was read: `git gc`
 * and `git repack` replace packs at any time, and what a pack held is then in another.
 */
export async function whilePacksChange<T>(look: () => Promise<T>): Promise<T> {
  for (let looks = 1; ; looks++) {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof PackGone) || looks === LOOKS) throw error;
    }
  }
}

/** A pack went away between two looks at it. */
class PackGone extends OdbError {
  constructor(path: string, cause: unknown) {
    const why = "went away while it was to be read (git gc or git repack at the same time?)";
    super("conflict", `${path} ${why}: run this again`, { cause });
  }
}

/**
 * Reads a pack's index while `use` runs.
 *
 * @throws OdbError integrity, when it is damaged; conflict, when it is not there any more
 */
export async function withIndex<T>(
  base: string,
  hash: HashAlgorithm,
  use: (index: PackIndex) => Promise<T>,
): Promise<T> {
  const path = `${base}.idx`;
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? new PackGone(path, error) : toOdbError(error);
  });
  try {
    const { size } = await file.stat();
    const read = async (start: number, end: number) => {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(end, size) - start));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
      return bytes.subarray(0, bytesRead);
    };
    return await use(await openIndex(read, size, hash, path));
  } finally {
    await file.close();
  }
}

/** What a pack holds, in the order of the pack, in which git reads fastest. */
export async function packEntries(base: string, hash: HashAlgorithm): Promise<IndexEntry[]> {
  return withIndex(base, hash, async (index) => {
    const entries: IndexEntry[] = [];
    for await (const entry of index.entries()) entries.push(entry);
    return entries.sort((a, b) => a.offset - b.offset);
  });
}

/** A lookup costs about as much as reading so many entries of the table. */
const LOOKUP_COST = 50;

/** Which of these objects a pack has: by lookups when they are few, by its whole table when they are many. */
export async function presentInPack(
  base: string,
  hash: HashAlgorithm,
  wanted: ReadonlySet<ObjectId>,
): Promise<ObjectId[]> {
  return withIndex(base, hash, async (index) => {
    const present: ObjectId[] = [];
    if (wanted.size * LOOKUP_COST < index.count) {
      for (const oid of wanted) if ((await index.find(oid)) !== undefined) present.push(oid);
    } else {
      for await (const { oid } of index.entries()) if (wanted.has(oid)) present.push(oid);
    }
    return present;
  });
}

function absentIsEmpty(error: unknown): string[] {
  return absentIsUndefined(error) ?? [];
}

function absentIsUndefined(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  throw toOdbError(error);
}
