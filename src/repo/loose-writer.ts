/** Writes an object into the repository's own object store as git does: gitrepository-layout(5), object-file.c. */

import { randomBytes } from "node:crypto";
import { access, chmod, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { deflateLoose } from "../object/loose.js";

/** Where a loose object lies, relative to the object store. */
export function loosePath(oid: ObjectId): string {
  return `${oid.slice(0, 2)}/${oid.slice(2)}`;
}

/** Whether the object store has this object as a loose one (packs and alternates are not looked at). */
export function hasLoose(objectsDir: string, oid: ObjectId): Promise<boolean> {
  return access(join(objectsDir, loosePath(oid))).then(
    () => true,
    () => false,
  );
}

/**
 * Writes one object from its loose form: to `tmp_obj_*` (which `git gc` clears away after a crash), fsync, link
 * into place, fsync of the folder. Durable when it resolves; an object that is there already stays.
 *
 * @param loose must throw before its end unless it is the whole object `oid` (`asLoose`): nothing is left then
 * @throws OdbError full, denied; whatever `loose` throws
 */
export async function writeLoose(objectsDir: string, oid: ObjectId, loose: Content): Promise<void> {
  const path = join(objectsDir, loosePath(oid));
  const dir = join(objectsDir, oid.slice(0, 2));
  const context = `write object ${oid} into ${objectsDir}`;
  await makeFanOut(objectsDir, dir).catch((error: unknown) => Promise.reject(toOdbError(error, context)));
  const temporary = join(dir, `tmp_obj_${randomBytes(6).toString("hex")}`);
  try {
    await writeDurably(temporary, loose, context);
    await place(temporary, path);
    await syncDirectory(dir);
  } catch (error) {
    throw toOdbError(error, context);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Writes a small object from its content. As {@link writeLoose}. */
export async function writeLooseBytes(
  objectsDir: string,
  oid: ObjectId,
  type: ObjectType,
  content: Uint8Array,
): Promise<void> {
  const loose = deflateLoose(type, content);
  await writeLoose(
    objectsDir,
    oid,
    (async function* () {
      yield loose;
    })(),
  );
}

/** Makes the fan-out folder with the mode of the object store, so that `core.sharedRepository` holds. */
async function makeFanOut(objectsDir: string, dir: string): Promise<void> {
  const { mode } = await stat(objectsDir);
  const made = await mkdir(dir, { recursive: true, mode: mode & 0o7777 });
  if (made === undefined) return;
  // The umask has narrowed it; a set-group-ID bit says that the repository is shared.
  if (mode & 0o2000) await chmod(dir, mode & 0o7777);
  await syncDirectory(objectsDir);
}

async function writeDurably(path: string, content: Content, context: string): Promise<void> {
  const file = await open(path, "wx", 0o444);
  try {
    for await (const chunk of content) {
      await file.writeFile(chunk).catch((error: unknown) => Promise.reject(toOdbError(error, context)));
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Link, so that a file that is there is never replaced; rename where there are no hard links. */
async function place(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EEXIST") {
      // A crash of some systems leaves an empty file, which git calls corrupt: that one is replaced.
      if ((await stat(path)).size === 0) await rename(temporary, path);
      return;
    }
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EMLINK" && code !== "ENOSYS") throw error;
    await rename(temporary, path);
  }
}

/** Makes the names in a folder durable; some systems (Windows) cannot open one. */
async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EISDIR" || error.code === "EPERM" || error.code === "EACCES") return undefined;
    throw error;
  });
  try {
    await handle?.sync();
  } finally {
    await handle?.close();
  }
}
