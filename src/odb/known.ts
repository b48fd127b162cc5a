/** What this clone can answer to `have` from its own files, when nothing is to be written and nobody to be asked. */

import { join } from "node:path";
import type { ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";
import { refNames } from "../repo/ref-files.js";
import { absoluteUrl } from "./absolute-url.js";
import { readOdbConfig } from "./config.js";
import { readPlainConfirmed } from "./confirmed.js";
import { areKnown, metadataPrefix } from "./ref-name.js";
import { stateDirectory, stateNames, storeKey } from "./state.js";

/** The objects to name, and where their store is. */
export interface KnownObjects {
  /** Of the store, paths made absolute. */
  readonly urls: readonly string[];
  /** `<oid> <size> <type>` LF for each object. */
  readonly lines: string;
}

/**
 * The same as `Odb.have` would give, for the usual case: every metadata ref is confirmed, no journal waits for its refs,
 * nothing waits for the store, and git is not receiving a push.
 *
 * @returns undefined in any other case
 * @throws OdbError as `openOdb`
 */
export async function knownObjects(repo: Repository, name: string): Promise<KnownObjects | undefined> {
  const directory = stateDirectory(repo, name);
  const waiting = ["journal", "queue"].some((folder) => stateNames(join(directory, folder)).length > 0);
  if (waiting || process.env.GIT_QUARANTINE_PATH) return undefined;
  const config = (await readOdbConfig(repo)).get(name);
  if (config === undefined) return undefined;
  const urls = config.urls.map((url) => absoluteUrl(url, repo));
  const confirmed = await readPlainConfirmed(directory, storeKey(urls));
  if (confirmed === undefined) return undefined;
  // After the confirmed ones: a ref that is written meanwhile is not among them.
  const names = refNames(repo, metadataPrefix(name));
  const isWhole = names !== undefined && areKnown(names, (oid: ObjectId) => confirmed.oids.has(oid));
  return isWhole ? { urls, lines: confirmed.lines } : undefined;
}
