/** A pack file that grows, with its index and its promisor mark at the end: gitformat-pack(5), builtin/index-pack.c. */

import { createHash, type Hash } from "node:crypto";
import { type FileHandle, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { OdbError, toOdbError } from "../errors.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { packHeader } from "../pack/concat.js";
import type { IndexEntry } from "../pack/idx.js";
import { formatIndex } from "../pack/idx-write.js";
import { temporaryPack } from "./left-behind.js";
import {
  openNew,
  packMode,
  sweptAway,
  unlessThere,
  writeAll,
  writeDurably,
  writePieces,
} from "./pack-files.js";
import { syncDirectory } from "./sync-directory.js";

/** A pack under way. Entries are added one after the other: `begin`, any number of `append`, `end`. */
export interface PackFile {
  /** Whole entries so far. */
  readonly count: number;
  has(oid: ObjectId): boolean;
  begin(oid: ObjectId): void;
  /** The bytes belong to the file from now on. @throws OdbError full, denied */
  append(bytes: Uint8Array): Promise<void>;
  end(): void;
  /** Takes the entry that was begun out again. */
  rollBack(): Promise<void>;
  /**
   * Makes pack, mark and index durable and visible, in this order: git sees the pack when its index is there.
   *
   * @returns the path of the pack
   */
  finish(): Promise<string>;
  /** Removes what is not finished; may be called at any time. */
  discard(): Promise<void>;
}

/** Small entries leave in blocks of this size. */
const BLOCK = 1024 * 1024;

/**
 * With a large pack, bytes are brought to disk in steps, beside what else goes on: the last sync is short then. No more than
 * two steps are ever behind.
 */
const SYNC_STEP = 64 * BLOCK;

/** @param expected the number of entries to write into the header; another number costs reading the pack once more */
export async function createPackFile(
  objectsDir: string,
  hash: HashAlgorithm,
  expected: number,
): Promise<PackFile> {
  const directory = join(objectsDir, "pack");
  const temporary = temporaryPack(directory);
  const context = `write a pack into ${objectsDir}`;
  try {
    const handle = await openNew(temporary.pack, directory);
    const file = new GrowingPack(handle, directory, temporary, hash, expected, context);
    await file.append(packHeader(expected));
    return file;
  } catch (error) {
    throw toOdbError(error, context);
  }
}

class GrowingPack implements PackFile {
  readonly #handle: FileHandle;
  readonly #directory: string;
  readonly #temporary: { readonly pack: string; readonly idx: string };
  readonly #algorithm: HashAlgorithm;
  readonly #expected: number;
  readonly #context: string;
  readonly #entries: IndexEntry[] = [];
  readonly #seen = new Set<ObjectId>();
  #hash: Hash;
  #held: Uint8Array[] = [];
  #heldSize = 0;
  #written = 0;
  #synced = 0;
  #syncing: Promise<void> | undefined;
  #current: { oid: ObjectId; offset: number; crc32: number; hash: Hash } | undefined;
  #closed = false;
  #placed = false;

  constructor(
    handle: FileHandle,
    directory: string,
    temporary: { pack: string; idx: string },
    algorithm: HashAlgorithm,
    expected: number,
    context: string,
  ) {
    this.#handle = handle;
    this.#directory = directory;
    this.#temporary = temporary;
    this.#algorithm = algorithm;
    this.#expected = expected;
    this.#context = context;
    this.#hash = createHash(algorithm);
  }

  get count(): number {
    return this.#entries.length;
  }

  has(oid: ObjectId): boolean {
    return this.#seen.has(oid);
  }

  begin(oid: ObjectId): void {
    this.#current = { oid, offset: this.#size(), crc32: 0, hash: this.#hash.copy() };
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    if (this.#current !== undefined) this.#current.crc32 = crc32(bytes, this.#current.crc32);
    this.#held.push(bytes);
    this.#heldSize += bytes.length;
    if (this.#heldSize >= BLOCK) await this.#flush();
  }

  end(): void {
    if (this.#current === undefined) throw new OdbError("bug", "no entry of the pack was begun");
    const { oid, offset, crc32 } = this.#current;
    this.#entries.push({ oid, offset, crc32 });
    this.#seen.add(oid);
    this.#current = undefined;
  }

  async rollBack(): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    await this.#flush();
    await this.#guard(this.#handle.truncate(current.offset));
    this.#written = current.offset;
    this.#hash = current.hash;
  }

  async finish(): Promise<string> {
    await this.#flush();
    await this.#syncing;
    const checksum = await this.#seal();
    const index = formatIndex(this.#entries, checksum, this.#algorithm);
    const name = join(this.#directory, `pack-${checksum}`);
    await this.#guard(this.#place(index, name));
    this.#placed = true;
    return `${name}.pack`;
  }

  async discard(): Promise<void> {
    if (this.#placed) return;
    await this.#close();
    await Promise.all([rm(this.#temporary.pack, { force: true }), rm(this.#temporary.idx, { force: true })]);
  }

  #size(): number {
    return this.#written + this.#heldSize;
  }

  async #flush(): Promise<void> {
    if (this.#heldSize === 0) return;
    const pieces = this.#held;
    const size = this.#heldSize;
    this.#held = [];
    this.#heldSize = 0;
    await this.#guard(writePieces(this.#handle, pieces, size, this.#written));
    this.#written += size;
    if (this.#written - this.#synced >= 2 * SYNC_STEP) await this.#syncing;
    if (this.#written - this.#synced >= SYNC_STEP && this.#syncing === undefined) this.#syncBeside();
  }

  #syncBeside(): void {
    this.#synced = this.#written;
    this.#syncing = this.#guard(this.#handle.datasync());
    // The system tells of a failure once: it is kept for who waits.
    this.#syncing.then(
      () => {
        this.#syncing = undefined;
      },
      () => {},
    );
  }

  /** Puts the count and the trailer right. @returns the checksum in hex */
  async #seal(): Promise<string> {
    if (this.count !== this.#expected) {
      await this.#guard(writeAll(this.#handle, packHeader(this.count), 0));
      this.#hash = await this.#guard(this.#rehash());
    }
    const trailer = this.#hash.digest();
    await this.#guard(writeAll(this.#handle, trailer, this.#written));
    return trailer.toString("hex");
  }

  async #rehash(): Promise<Hash> {
    const hash = createHash(this.#algorithm);
    const block = Buffer.allocUnsafe(Math.min(BLOCK, this.#written));
    for (let at = 0; at < this.#written; ) {
      const length = Math.min(block.length, this.#written - at);
      const { bytesRead } = await this.#handle.read(block, 0, length, at);
      if (bytesRead === 0)
        throw new OdbError("integrity", `${this.#temporary.pack} was cut by somebody else`);
      hash.update(block.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash;
  }

  async #place(index: Uint8Array, name: string): Promise<void> {
    const { pack, idx } = this.#temporary;
    const mode = await packMode(this.#directory);
    await Promise.all([this.#settle(mode), writeDurably(idx, index, mode)]);
    await this.#close();
    await rename(pack, `${name}.pack`).catch(sweptAway);
    await writeDurably(`${name}.promisor`, Buffer.alloc(0), mode).catch(unlessThere);
    await rename(idx, `${name}.idx`).catch(sweptAway);
    await syncDirectory(this.#directory);
  }

  async #settle(mode: number): Promise<void> {
    await this.#handle.chmod(mode);
    await this.#handle.sync();
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  async #guard<T>(action: Promise<T>): Promise<T> {
    try {
      return await action;
    } catch (error) {
      throw toOdbError(error, this.#context);
    }
  }
}
