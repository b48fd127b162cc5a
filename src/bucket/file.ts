/** A bucket in a folder: a key is the path of a plain file, so that git, web servers and people can read it too. */

import { mkdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { spool } from "../object/spool.js";
import type { Bucket, WriteOptions } from "./bucket.js";
import { listFiles } from "./file-list.js";
import { entryAt, fileError, folder as folderAt } from "./file-path.js";
import { canLock, directorySync, type Placing, place, removeFile, settleRemoval } from "./file-place.js";
import { readFile } from "./file-read.js";
import {
  removeStale,
  type Staged,
  stageCopy,
  stageSource,
  stagingPath,
  unlinkIfThere,
} from "./file-stage.js";
import { checkConditions, checkSignal } from "./flow.js";
import { ownedName } from "./owner.js";

/**
 * The bucket in the folder `path`. A missing folder is a `config` error in every call: an unmounted disk must not
 * read as an empty bucket; `create` makes it. What the bucket keeps for itself lies in `<path>/.git-odb`.
 *
 * Small reads and the looks at a file happen in the calling thread (12 µs against 90 through the thread pool); what
 * brings bytes to disk never does.
 *
 * @param name for messages
 */
export function fileBucket(path: string, name = path): Bucket {
  const folder = folderAt(path, name);
  const placing: Placing = { folder, syncDirectory: directorySync() };
  let tidied: Promise<number> | undefined;
  let lockable: boolean | undefined;

  const writeStaged = async (
    stage: () => Promise<Staged>,
    key: string,
    what: string,
    options: WriteOptions,
  ) => {
    tidied ??= removeStale(folder);
    await tidied;
    const staged = await stage();
    try {
      return await place(placing, staged, key, what, options);
    } finally {
      await unlinkIfThere(staged.path);
    }
  };

  return {
    name,

    get stagingDirectory() {
      try {
        const staging = stagingPath(folder);
        mkdirSync(dirname(staging), { recursive: true });
        mkdirSync(staging, { recursive: true, mode: 0o700 });
        return staging;
      } catch {
        // Read-only or not there: nothing can be staged here, and a write will say why.
        return undefined;
      }
    },

    async head(key, options) {
      checkSignal(options?.signal, `${name} ${key}`);
      const found = entryAt(folder.pathOf(key), key, `${name} ${key}`);
      if (found === undefined) return undefined;
      const { mtimeNs: _, ...entry } = found;
      return entry;
    },

    async read(key, options = {}) {
      checkSignal(options.signal, `${name} ${key}`);
      return readFile(folder, key, `${name} ${key}`, options);
    },

    async write(key, source, options = {}) {
      const what = `${name} ${key}`;
      checkSignal(options.signal, what);
      const path = folder.pathOf(key);
      checkConditions(options, what);
      if (options.ifAbsent && entryAt(path, key, what)) return { written: false };
      const stage = () => stageSource(folder, source, what, options.signal);
      return writeStaged(stage, key, what, options);
    },

    async writeStream(key, content, options = {}) {
      const what = `${name} ${key}`;
      checkSignal(options.signal, what);
      // A key or a folder that cannot be is found out before the content is asked for.
      folder.pathOf(key);
      folder.root();
      await mkdir(stagingPath(folder), { recursive: true, mode: 0o700 });
      const { signal } = options;
      const directory = stagingPath(folder);
      await using staged = await spool(content, {
        directory,
        name: ownedName(),
        memoryLimit: 0,
        sync: true,
        ...(signal && { signal }),
      });
      await writeStaged(() => stageSource(folder, staged, what, signal), key, what, options);
      return staged.size;
    },

    async remove(keys, options) {
      const directories = new Set<string>();
      for (const key of keys) folder.pathOf(key);
      for (const key of keys) {
        checkSignal(options?.signal, `${name} ${key}`);
        await removeFile(placing, key, `${name} ${key}`, options?.signal);
        directories.add(dirname(folder.pathOf(key)));
      }
      for (const directory of directories) await settleRemoval(placing, directory);
    },

    // Unfinished files have no key yet: all of them are looked at.
    removeUnfinished: async (_, before) => await removeStale(folder, before.getTime()),

    list: (prefix, options = {}) => listFiles(folder, prefix, options),

    async copy(from, to, options) {
      const what = `${name} ${from} to ${to}`;
      checkSignal(options?.signal, what);
      const [source] = [folder.pathOf(from), folder.pathOf(to)];
      const found = entryAt(source, from, what);
      if (found === undefined) return false;
      await writeStaged(() => stageCopy(folder, source, found.size, what), to, what, options ?? {});
      return true;
    },

    async conditionalWrites(options) {
      folder.root();
      lockable ??= await canLock(folder, options?.signal);
      return lockable;
    },

    async create() {
      try {
        const made = await mkdir(path, { recursive: true });
        if (made !== undefined) await placing.syncDirectory(dirname(made));
      } catch (error) {
        throw fileError(error, name);
      }
    },

    async close() {},
  };
}
