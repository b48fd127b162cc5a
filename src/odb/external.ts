/** `objects/external`, where the reference client keeps what it has fetched and no other git looks. */

import { createReadStream } from "node:fs";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type OdbError, toOdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { hexLength, isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { LOOSE_HEAD, readLooseHeader } from "../object/loose.js";
import type { Repository } from "../repo/git.js";
import { writeLoose } from "../repo/loose-writer.js";
import { writePromisorPack } from "../repo/promisor-pack.js";
import { asLoose, asRaw } from "../store/encoding.js";

/**
 * Moves the objects to where every git finds them, verified and durable there before they go here: blobs into one
 * promisor pack, since an ODB has them; anything else becomes a loose object, since a promisor pack with a tree in it
 * would let git drop what the tree names.
 *
 * @param warn told, a line each, of objects that are broken: they stay where they are
 * @returns how many were moved
 */
export async function adoptExternal(repo: Repository, warn: (line: string) => void): Promise<number> {
  const broken = new Set<ObjectId>();
  const moved: ObjectId[] = [];
  const onFailure = ({ oid }: { oid: ObjectId }, error: OdbError) => {
    broken.add(oid);
    warn(`${error.message}: left in ${folderOf(repo)}`);
  };
  const seen: ObjectId[] = [];
  async function* blobs() {
    for await (const oid of externalObjects(repo)) {
      const info = await infoOf(repo, oid).catch((error: unknown) => onFailure({ oid }, toOdbError(error)));
      if (!info) continue;
      seen.push(oid);
      const stored = (): StoredExternal => ({ info, encoding: "loose", content: contentOf(repo, oid) });
      if (info.type === "blob") yield { info, open: () => asRaw(stored()) };
      else
        await asLooseObject(repo, stored()).catch((error: unknown) => onFailure(info, onlyIntegrity(error)));
    }
  }
  await writePromisorPack(repo, blobs(), { onFailure });
  for (const oid of seen) {
    if (broken.has(oid)) continue;
    await rm(pathOf(repo, oid), { force: true });
    moved.push(oid);
  }
  return moved.length;
}

/** Whether there is anything for {@link adoptExternal}. */
export async function hasExternal(repo: Repository): Promise<boolean> {
  for await (const _ of externalObjects(repo)) return true;
  return false;
}

interface StoredExternal {
  readonly info: ObjectInfo;
  readonly encoding: "loose";
  readonly content: Content;
}

function asLooseObject(repo: Repository, stored: StoredExternal): Promise<void> {
  return writeLoose(repo.objectsDir, stored.info.oid, asLoose(stored));
}

/** A full disk or a refusal is no fault of the object. */
function onlyIntegrity(cause: unknown): OdbError {
  const error = toOdbError(cause);
  if (error.code !== "integrity") throw error;
  return error;
}

function folderOf(repo: Repository): string {
  return join(repo.objectsDir, "external");
}

function pathOf(repo: Repository, oid: ObjectId): string {
  return join(folderOf(repo), oid.slice(0, 2), oid.slice(2));
}

async function* externalObjects(repo: Repository): AsyncGenerator<ObjectId> {
  for (const fan of await namesIn(folderOf(repo))) {
    if (!/^[0-9a-f]{2}$/.test(fan)) continue;
    for (const rest of await namesIn(join(folderOf(repo), fan))) {
      const oid = fan + rest;
      if (isObjectId(oid) && oid.length === hexLength[repo.hash]) yield oid;
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw toOdbError(error, folder);
  }
}

async function infoOf(repo: Repository, oid: ObjectId): Promise<ObjectInfo> {
  const file = await open(pathOf(repo, oid));
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LOOSE_HEAD), 0, LOOSE_HEAD, 0);
    return { oid, ...readLooseHeader(buffer.subarray(0, bytesRead), `object ${oid}`) };
  } finally {
    await file.close();
  }
}

async function* contentOf(repo: Repository, oid: ObjectId): Content {
  yield* createReadStream(pathOf(repo, oid), { highWaterMark: 512 * 1024 });
}
