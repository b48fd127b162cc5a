/** The second pass over a pack: deltas are resolved in any order, in bounded memory, and give its index. */

import { OdbError } from "../errors.js";
import { type Content, contentOf } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { type Spooled, spool, spooledInMemory } from "../object/spool.js";
import { applyDelta } from "./delta.js";
import type { IndexEntry } from "./idx.js";
import { openData, type PackAccess, readPacked } from "./resolve.js";
import { hashContent, type ObjectObserver, type ScannedEntry, type ScannedPack } from "./scan.js";

/** Options of {@link resolveIndex}. */
export interface ResolveOptions {
  /** Folder of the temporary files for what exceeds the memory. Default: the system's. */
  readonly directory?: string;
  /** In bytes: bases held in memory at one time. Default 64 MiB. */
  readonly memory?: number;
  /** Takes what exceeds the memory, in place of a temporary file. */
  readonly setAside?: (content: Content) => Promise<Spooled>;
  readonly onObject?: ObjectObserver;
}

/** An index, and the objects outside of the pack that its deltas stand on: any makes it a thin pack. */
export interface ResolvedIndex {
  readonly entries: readonly IndexEntry[];
  readonly externalBases: readonly ObjectId[];
}

/** No single base takes more than this share of the memory. */
const SHARE = 8;

/**
 * Finds the id of every entry. A base is read once and all that stands on it is made from it before it goes.
 *
 * @param pack the pack that was scanned, now readable from any place; `external` gives the bases of a thin one
 * @throws OdbError integrity, when a delta is broken or has no base
 */
export async function resolveIndex(
  scanned: ScannedPack,
  pack: Omit<PackAccess, "find">,
  options: ResolveOptions = {},
): Promise<ResolvedIndex> {
  const tree = new DeltaTree(scanned.entries);
  const access: PackAccess = { ...pack, find: async () => undefined };
  const resolver = new Resolver(access, tree, options);
  for (const entry of scanned.entries)
    if (entry.oid !== undefined) resolver.found.push(toIndex(entry, entry.oid));
  for (const { offset, oid, type } of scanned.entries) {
    if (oid === undefined || !tree.has(offset, oid)) continue;
    await resolver.resolveOver(await resolver.setAside((await readPacked(access, offset)).content), {
      offset,
      oid,
      type: type as ObjectType,
    });
  }
  const externalBases = await resolveThin(resolver, tree, access);
  if (resolver.found.length !== scanned.entries.length) {
    throw new OdbError("integrity", `${pack.name}: the deltas of some of its entries go in circles`);
  }
  return { entries: resolver.found, externalBases };
}

async function resolveThin(resolver: Resolver, tree: DeltaTree, pack: PackAccess): Promise<ObjectId[]> {
  const bases: ObjectId[] = [];
  for (const oid of tree.waitingFor()) {
    const base = await pack.external?.(oid);
    // It may have been an object of the pack after all, made while another base was resolved.
    if (base === undefined) continue;
    if (!tree.has(-1, oid)) for await (const _ of base.content) break;
    else {
      bases.push(oid);
      await resolver.resolveOver(await resolver.setAside(base.content), { offset: -1, oid, type: base.type });
    }
  }
  const [missing] = tree.waitingFor();
  if (missing === undefined) return bases;
  throw new OdbError("integrity", `${pack.name}: the base ${missing} of a delta is missing`);
}

interface Base {
  readonly offset: number;
  readonly oid: ObjectId;
  readonly type: ObjectType;
}

/** Which deltas stand on what; an entry leaves it when it is taken. */
class DeltaTree {
  readonly #byOffset = new Map<number, ScannedEntry[]>();
  readonly #byId = new Map<ObjectId, ScannedEntry[]>();

  constructor(entries: readonly ScannedEntry[]) {
    for (const entry of entries) {
      if (entry.baseOffset !== undefined) append(this.#byOffset, entry.baseOffset, entry);
      if (entry.baseId !== undefined) append(this.#byId, entry.baseId, entry);
    }
  }

  has(offset: number, oid: ObjectId): boolean {
    return this.#byOffset.has(offset) || this.#byId.has(oid);
  }

  take(offset: number, oid: ObjectId): ScannedEntry[] {
    const found = [...(this.#byOffset.get(offset) ?? []), ...(this.#byId.get(oid) ?? [])];
    this.#byOffset.delete(offset);
    this.#byId.delete(oid);
    return found;
  }

  waitingFor(): ObjectId[] {
    return [...this.#byId.keys()];
  }
}

class Resolver {
  readonly found: IndexEntry[] = [];
  readonly #pack: PackAccess;
  readonly #tree: DeltaTree;
  readonly #options: ResolveOptions;
  #memory: number;
  readonly #share: number;

  constructor(pack: PackAccess, tree: DeltaTree, options: ResolveOptions) {
    this.#pack = pack;
    this.#tree = tree;
    this.#options = options;
    this.#memory = options.memory ?? 64 * 1024 * 1024;
    this.#share = Math.ceil(this.#memory / SHARE);
  }

  /** In memory while there is room; its room is given back when it is disposed of. */
  async setAside(content: Content): Promise<Spooled> {
    const memoryLimit = Math.max(0, Math.min(this.#share, this.#memory));
    const { directory, setAside } = this.#options;
    const data =
      setAside === undefined
        ? await spool(content, { memoryLimit, ...(directory === undefined ? {} : { directory }) })
        : await spoolOr(setAside, content, memoryLimit);
    const inMemory = data.file === undefined && data.size <= memoryLimit;
    const taken = inMemory ? data.size : 0;
    this.#memory -= taken;
    return {
      ...data,
      [Symbol.asyncDispose]: async () => {
        this.#memory += taken;
        await data[Symbol.asyncDispose]();
      },
    };
  }

  /** Resolves all that stands on `base`, whose bytes are `data`; disposes of `data` as early as can be. */
  async resolveOver(data: Spooled, base: Base): Promise<void> {
    const deltas = this.#tree.take(base.offset, base.oid);
    let disposed = false;
    const dispose = async () => {
      if (!disposed) await data[Symbol.asyncDispose]();
      disposed = true;
    };
    try {
      for (const [i, delta] of deltas.entries()) {
        const oid = await this.#hashOver(data, delta, base.type);
        this.found.push(toIndex(delta, oid));
        if (!this.#tree.has(delta.offset, oid)) continue;
        const next = await this.setAside((await this.#applied(data, delta)).content);
        if (i === deltas.length - 1) await dispose();
        await this.resolveOver(next, { offset: delta.offset, oid, type: base.type });
      }
    } finally {
      await dispose();
    }
  }

  async #hashOver(data: Spooled, delta: ScannedEntry, type: ObjectType): Promise<ObjectId> {
    const { size, content } = await this.#applied(data, delta);
    return await hashContent(type, size, content, this.#pack.hash, this.#options.onObject);
  }

  async #applied(data: Spooled, { offset, delta }: ScannedEntry) {
    const content = delta === undefined ? await openData(this.#pack, offset) : contentOf(delta);
    return await applyDelta(data, content, `${this.#pack.name}, entry at ${offset}`);
  }
}

/** In memory, or, once there is more than the limit, handed on whole. */
async function spoolOr(
  setAside: (content: Content) => Promise<Spooled>,
  content: Content,
  limit: number,
): Promise<Spooled> {
  const chunks: Uint8Array[] = [];
  const rest = content[Symbol.asyncIterator]();
  let size = 0;
  for (let step = await rest.next(); !step.done; step = await rest.next()) {
    chunks.push(step.value);
    size += step.value.length;
    if (size > limit) return await setAside(resumed(chunks, rest));
  }
  return spooledInMemory(Buffer.concat(chunks, size));
}

async function* resumed(chunks: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): Content {
  try {
    yield* chunks;
    for (let step = await rest.next(); !step.done; step = await rest.next()) yield step.value;
  } finally {
    await rest.return?.();
  }
}

function toIndex({ offset, crc32 }: ScannedEntry, oid: ObjectId): IndexEntry {
  return { oid, crc32, offset };
}

function append<K>(map: Map<K, ScannedEntry[]>, key: K, entry: ScannedEntry): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [entry]);
  else list.push(entry);
}
