/** What a process of ours left in the object store when it was killed: found by the names, which say whose they are. */

import { randomBytes } from "node:crypto";
import { open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import { hexLength } from "../object/id.js";
import type { Repository } from "./git.js";

/** The tags of this process: another may have had its number before. */
const own = new Set<string>();

/** Part of a file name that tells who made it: `<host>.<pid>.<random>`. */
export function ownTag(): string {
  const tag = `${hostTag()}.${process.pid}.${randomBytes(4).toString("hex")}`;
  own.add(tag);
  return tag;
}

/** Whether the process of a tag is gone; of another host it cannot be known. */
export function isLeftBehind(tag: string): boolean {
  const [host, pid = "", random] = tag.split(".");
  if (host !== hostTag() || !/^[0-9]+$/.test(pid) || random === undefined || own.has(tag)) return false;
  return Number(pid) === process.pid || !isAlive(Number(pid));
}

/** Whether a process of this host runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Packs that are being written: `git prune` takes them away when they are old. */
const PACK = "tmp_pack_odb-";
const INDEX = "tmp_idx_odb-";
/** Folders for large objects on their way, likewise. */
const FOLDER = "tmp_objdir-odb-";

/** Names for a pack and its index until they are whole. */
export function temporaryPack(packDir: string): { readonly pack: string; readonly idx: string } {
  const tag = ownTag();
  return { pack: join(packDir, PACK + tag), idx: join(packDir, INDEX + tag) };
}

/** A name for a folder of one's own in the object store. */
export function temporaryFolder(objectsDir: string): string {
  return join(objectsDir, FOLDER + ownTag());
}

/**
 * Ends what fetches that were killed had begun: a pack that lacks nothing but its index under the right name gets it;
 * anything else goes.
 *
 * @throws OdbError denied
 */
export async function clearLeftBehind(repo: Pick<Repository, "objectsDir" | "hash">): Promise<void> {
  const packDir = join(repo.objectsDir, "pack");
  for (const name of await leftIn(packDir, INDEX)) await finishPack(packDir, name, repo.hash);
  for (const name of await leftIn(packDir, PACK)) await rm(join(packDir, name), { force: true });
  for (const name of await leftIn(repo.objectsDir, FOLDER))
    await rm(join(repo.objectsDir, name), { recursive: true, force: true });
}

async function leftIn(folder: string, prefix: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw toOdbError(error);
  });
  return names.filter((name) => name.startsWith(prefix) && isLeftBehind(name.slice(prefix.length)));
}

/**
 * The index was whole before its pack got its name, and it ends with the checksum of the pack, which is that name
 * (gitformat-pack(5)).
 */
async function finishPack(packDir: string, name: string, hash: Repository["hash"]): Promise<void> {
  const path = join(packDir, name);
  const checksum = await packChecksum(path, hexLength[hash] / 2);
  const base = join(packDir, `pack-${checksum}`);
  try {
    const { mode } = await stat(`${base}.pack`);
    await writeFile(`${base}.promisor`, "", { flag: "wx", mode }).catch(unlessThere);
    await rename(path, `${base}.idx`);
  } catch (error) {
    // Its pack never got so far, or another run was quicker.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw toOdbError(error);
    await rm(path, { force: true });
  }
}

function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

/** @returns the last hash but one of an index */
async function packChecksum(path: string, length: number): Promise<string> {
  const file = await open(path, "r").catch((error: unknown) => Promise.reject(toOdbError(error)));
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, Math.max(0, size - 2 * length));
    return bytes.toString("hex");
  } finally {
    await file.close();
  }
}

/** This host's name as part of a file name. */
function hostTag(): string {
  return hostname().replace(/[^A-Za-z0-9-]/g, "_") || "host";
}
