/** Where a clone keeps the indexes of the packs of its remotes. */

import { join } from "node:path";
import { storeKey } from "../odb/state.js";
import { type IndexCache, openIndexCache } from "../store/index-cache.js";
import type { RemoteContext } from "./remote.js";

/** The cache of one bucket, shared by all worktrees; none outside of a repository. */
export function indexesOf({ places, url }: RemoteContext): IndexCache | undefined {
  if (places === undefined) return undefined;
  // No ODB has a name that begins with a dot.
  return openIndexCache(join(places.commonDir, "odb", ".indexes", storeKey([url])));
}
