/**
 * Writes objects into the repository as one promisor pack: what lies in it, and what its trees name, a promisor remote
 * is known to have (gitrepository-layout(5), `git index-pack --promisor`).
 */

import { type OdbError, toOdbError } from "../errors.js";
import { type Content, verified, verifier } from "../object/content.js";
import { deflated, deflateWhole } from "../object/deflate.js";
import type { ObjectInfo } from "../object/info.js";
import { formatEntryHeader } from "../pack/entry.js";
import type { Repository } from "./git.js";
import { createPackFile, type PackFile } from "./pack-file.js";

/** An object for the pack; a SourceObject is one. */
export interface PackedObject {
  readonly info: ObjectInfo;
  /** Called once; what it gives is verified while it is written. Not called for an object that is in the pack already. */
  open(): Content;
}

/** How to write the pack. */
export interface PromisorPackOptions {
  /** How many objects there will probably be: when that is right, the pack need not be read again for its checksum. */
  readonly expected?: number;
  /**
   * Takes the failure of one object, which is then left out. Without it, a failure leaves nothing behind. A full disk
   * and an interruption are never one object's.
   */
  readonly onFailure?: (info: ObjectInfo, error: OdbError) => void;
  /** When `objects` itself fails, keep what came before; the failure is thrown afterwards. */
  readonly keepPartial?: boolean;
}

/** What was written. */
export interface PromisorPack {
  /** The path of the pack file; absent when there was no object. */
  readonly pack?: string;
  readonly count: number;
}

/** Up to this size an object is verified before any of it is written. */
const SMALL = 1024 * 1024;

/**
 * Writes a pack, its index and its `.promisor` mark: durable, and then visible all at once, when it resolves. Until
 * then there are only `tmp_pack_*` and `tmp_idx_*`, which `clearLeftBehind` or `git gc` clears away after a crash.
 *
 * Everything that the objects of the pack name counts as fetchable again, and `git gc` may drop it: so a tree goes in
 * only if every object it names is safe elsewhere.
 *
 * @param repo the object store to write into; no git is run
 * @throws OdbError integrity, when an object is not what its info says; full, denied; what `objects` throws
 */
export async function writePromisorPack(
  repo: Pick<Repository, "objectsDir" | "hash">,
  objects: AsyncIterable<PackedObject>,
  options: PromisorPackOptions = {},
): Promise<PromisorPack> {
  let file: PackFile | undefined;
  let failure: OdbError | undefined;
  try {
    try {
      for await (const object of objects) {
        file ??= await createPackFile(repo.objectsDir, repo.hash, options.expected ?? 1);
        await add(file, object, options);
      }
    } catch (error) {
      failure = toOdbError(error);
      if (!options.keepPartial || failure.code === "full") throw failure;
    }
    const count = file?.count ?? 0;
    const pack = count === 0 ? undefined : await file?.finish();
    if (failure !== undefined) throw failure;
    return pack === undefined ? { count } : { pack, count };
  } finally {
    await file?.discard();
  }
}

/** Adds one object, or hands its failure to who wants it. */
async function add(file: PackFile, object: PackedObject, options: PromisorPackOptions): Promise<void> {
  const { info } = object;
  if (file.has(info.oid)) return;
  try {
    if (info.size <= SMALL) await addSmall(file, object);
    else await addLarge(file, object);
  } catch (cause) {
    const error = toOdbError(cause, `object ${info.oid}`);
    if (options.onFailure === undefined || error.code === "full" || error.code === "aborted") throw error;
    options.onFailure(info, error);
  }
}

async function addSmall(file: PackFile, { info, open }: PackedObject): Promise<void> {
  const check = verifier(info);
  const chunks: Uint8Array[] = [];
  for await (const chunk of open()) {
    check.update(chunk);
    chunks.push(chunk);
  }
  check.finish();
  const [only] = chunks;
  const content = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks, info.size);
  file.begin(info.oid);
  await file.append(formatEntryHeader(info.type, info.size));
  await file.append(deflateWhole(content));
  file.end();
}

/** Straight into the file; what turns out to be broken is cut off again. */
async function addLarge(file: PackFile, { info, open }: PackedObject): Promise<void> {
  file.begin(info.oid);
  try {
    await file.append(formatEntryHeader(info.type, info.size));
    for await (const chunk of deflated([], verified(open(), info))) await file.append(chunk);
    file.end();
  } catch (error) {
    await file.rollBack();
    throw error;
  }
}
