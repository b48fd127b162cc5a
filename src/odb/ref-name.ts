/** The names of metadata refs, `refs/odbs/<name>/<oid>`, without what they point to. */

import { isObjectId, type ObjectId } from "../object/id.js";
import { parseOdbName } from "./name.js";

/** Above the refs of every ODB. */
export const METADATA_REFS = "refs/odbs/";

/** `refs/odbs/<name>/`. */
export function metadataPrefix(name: string): string {
  return `${METADATA_REFS}${parseOdbName(name)}/`;
}

/** Whether all objects among the last parts of refs are known. */
export function areKnown(names: ReadonlySet<string>, isKnown: (oid: ObjectId) => boolean): boolean {
  for (const name of names) if (!isKnown(name as ObjectId) && isObjectId(name)) return false;
  return true;
}
