/**
 * Indexes of a bucket's packs, kept in a folder of the clone: a pack is named by its checksum, so what its index says
 * never changes, and an object is found without asking the bucket. Only a cache: all of it may be removed at any time.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
import { type PackIndex, parseIndex } from "../pack/idx.js";
import { type BucketPack, isPackName } from "./bucket-packs.js";

/** What is known of a pack whose index is here. */
export type CachedPack = Pick<BucketPack, "name" | "size">;

/** An index in memory, its checksum verified. */
export interface WholeIndex {
  /** The file. */
  readonly bytes: Buffer;
  readonly index: PackIndex;
}

/** Indexes of the packs of one bucket. */
export interface IndexCache {
  packs(): CachedPack[];
  /** Undefined when it is not here, or damaged. */
  read(pack: CachedPack): Promise<WholeIndex | undefined>;
  /** Keeps a verified index, unless it is large or there are too many. */
  keep(pack: CachedPack, index: Uint8Array, packChecksum: string): void;
  forget(pack: CachedPack): void;
  /** Forgets all packs but those that the bucket was seen to hold. */
  retain(packs: readonly CachedPack[]): void;
}

/** A larger index, in bytes, is not kept: that of some 250,000 objects. */
const ONE = 8 * 1024 * 1024;

/** All of them together, in bytes: a lazy fetch reads and hashes them all, in 30 ms. */
const ALL = 32 * 1024 * 1024;

/** @param directory made when something is kept */
export function openIndexCache(directory: string): IndexCache {
  return new FolderCache(directory);
}

/** The hash by which a pack is named, and of the ids in it. */
export function hashOfPack({ name }: Pick<BucketPack, "name">): HashAlgorithm {
  return name.length === "pack-".length + 64 ? "sha256" : "sha1";
}

class FolderCache implements IndexCache {
  readonly #directory: string;
  /** Bytes, once they have been counted. */
  #held: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  packs(): CachedPack[] {
    return this.#files().flatMap((file) => packOf(file) ?? []);
  }

  /** One that a crash has torn, or that another process still writes, is taken away. */
  async read(pack: CachedPack): Promise<WholeIndex | undefined> {
    const path = this.#pathOf(pack);
    try {
      const bytes = readFileSync(path);
      return { bytes, index: (await parseIndex(bytes, hashOfPack(pack), path)).index };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      if (!(error instanceof OdbError) || error.code !== "integrity") throw toOdbError(error);
      this.forget(pack);
      return undefined;
    }
  }

  keep(pack: CachedPack, index: Uint8Array, packChecksum: string): void {
    // Long ago git named packs by the ids in them: under such a name other bytes may lie tomorrow.
    if (pack.name !== `pack-${packChecksum}` || index.length > ONE) return;
    this.#held ??= this.#files().reduce((sum, file) => sum + sizeOf(join(this.#directory, file)), 0);
    if (this.#held + index.length > ALL) return;
    this.#held += index.length;
    ifAllowed(() => {
      mkdirSync(this.#directory, { recursive: true });
      writeFileSync(this.#pathOf(pack), index, { flag: "wx" });
    });
  }

  forget(pack: CachedPack): void {
    this.#remove(this.#pathOf(pack));
  }

  retain(packs: readonly CachedPack[]): void {
    const kept = new Set(packs.map(fileOf));
    for (const file of this.#files()) if (!kept.has(file)) this.#remove(join(this.#directory, file));
  }

  #remove(path: string): void {
    this.#held = undefined;
    ifAllowed(() => rmSync(path, { force: true }));
  }

  #pathOf(pack: CachedPack): string {
    return join(this.#directory, fileOf(pack));
  }

  #files(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw toOdbError(error);
    }
  }
}

/** `<name>.<bytes of the pack>.idx` */
function fileOf({ name, size }: CachedPack): string {
  return `${name}.${size}.idx`;
}

function packOf(file: string): CachedPack | undefined {
  const [, name = "", size = ""] = /^(pack-[0-9a-f]+)\.(\d{1,15})\.idx$/.exec(file) ?? [];
  return isPackName(name) ? { name, size: Number(size) } : undefined;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** What cannot be written, as the disk is full or the folder not ours, is read from the bucket again; as what is there. */
function ifAllowed(act: () => void): void {
  try {
    act();
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST";
    const { code } = toOdbError(error);
    if (!isThere && code !== "full" && code !== "denied") throw toOdbError(error);
  }
}
