/** Listing a folder tree in the order of its keys' UTF-8 bytes, one folder in memory at a time. */

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Entry, ListOptions } from "./bucket.js";
import { entryAt, type Folder, fileError, isAbsent, PRIVATE } from "./file-path.js";
import { checkSignal } from "./flow.js";
import { checkPrefix, compareKeys, isKey } from "./keys.js";

/** Plain files only: a symbolic link, a socket or a name that is no key is not of the bucket. */
export async function* listFiles(folder: Folder, prefix: string, options: ListOptions): AsyncIterable<Entry> {
  checkPrefix(prefix);
  const base = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  // The guard of a path covers the folders above it: any name below `base` will do.
  folder.pathOf(`${base}x`);
  yield* walk(folder, base, prefix, options);
}

async function* walk(
  folder: Folder,
  base: string,
  prefix: string,
  options: ListOptions,
): AsyncIterable<Entry> {
  const { after = "", signal } = options;
  const what = `${folder.name} ${base}`;
  for (const key of await keysIn(folder, base, what)) {
    checkSignal(signal, what);
    const isFolder = key.endsWith("/");
    if (!key.startsWith(prefix)) continue;
    if (compareKeys(key, after) <= 0 && !(isFolder && after.startsWith(key))) continue;
    if (isFolder) yield* walk(folder, key, prefix, options);
    else {
      const entry = entryAt(join(folder.root(), key), key, what);
      if (entry) yield { key, size: entry.size, ...pick(entry) };
    }
  }
}

function pick({ etag, modified }: Entry): Pick<Entry, "etag" | "modified"> {
  return { ...(etag !== undefined && { etag }), ...(modified && { modified }) };
}

/** The files and folders of one folder, as keys in order; a folder's ends in `/`, as it sorts. */
async function keysIn(folder: Folder, base: string, what: string): Promise<string[]> {
  let found: Dirent[];
  try {
    found = await readdir(join(folder.root(), base), { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw fileError(error, what);
  }
  const keys: string[] = [];
  for (const entry of found) {
    const key = base + entry.name;
    if (!isKey(key) || key === PRIVATE) continue;
    if (entry.isFile()) keys.push(key);
    else if (entry.isDirectory()) keys.push(`${key}/`);
  }
  return keys.sort(compareKeys);
}
