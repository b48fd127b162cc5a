/** The stores in the folders of a served bucket: each folder is one, in the layout that it says itself. */

import type { Bucket } from "../bucket/bucket.js";
import { folderBucket } from "../bucket/folder.js";
import { openStoreOn } from "../store/open.js";
import { settingsKey } from "../store/settings.js";
import type { ObjectStore } from "../store/store.js";

/** So many stay open; what has not been asked for longest is opened anew when it is. */
const OPEN_LIMIT = 64;

/** Keys that say how objects lie in their folder (`openStoreOn`). */
const layoutKeys: ReadonlySet<string> = new Set([settingsKey, "HEAD"]);

/** A folder's keys and its objects. */
export interface FolderStore {
  readonly bucket: Bucket;
  readonly store: ObjectStore;
}

/** The stores, opened at the first request for an object of theirs. */
export interface FolderStores {
  /** @param folder ends in `/`; empty for the root */
  get(folder: string): Promise<FolderStore>;
  /** A key has changed: if it says how objects lie in its folder, that store is opened anew next time. */
  changed(key: string): void;
}

/** The stores of all folders of `bucket`, which stays the caller's. */
export function folderStores(bucket: Bucket): FolderStores {
  const opened = new Map<string, Promise<FolderStore>>();
  const open = async (folder: string): Promise<FolderStore> => {
    const inside = folderBucket(bucket, folder);
    return { bucket: inside, store: await openStoreOn(inside) };
  };
  return {
    get(folder) {
      const found = opened.get(folder) ?? open(folder);
      // At the end: the first of a Map is the oldest.
      opened.delete(folder);
      opened.set(folder, found);
      const [oldest] = opened.keys();
      if (opened.size > OPEN_LIMIT && oldest !== undefined) opened.delete(oldest);
      found.catch(() => {
        if (opened.get(folder) === found) opened.delete(folder);
      });
      return found;
    },
    changed(key) {
      const start = key.lastIndexOf("/") + 1;
      if (layoutKeys.has(key.slice(start))) opened.delete(key.slice(0, start));
    },
  };
}
