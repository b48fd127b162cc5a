/** Which of many missing objects it makes sense to ask an ODB for. */

import type { CallOptions } from "../bucket/bucket.js";
import { toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { listMetadataRefs } from "./refs.js";
import type { Odb } from "./session.js";

/** Up to so many objects that nothing is known of are asked for one by one; of more, a listing of the store tells. */
const ASK_LIMIT = 200;

/**
 * Those that metadata refs name, and those that the store may have all the same (its refs were not fetched). In a partial
 * clone most missing blobs are no ODB's: asking for each would cost a request each.
 */
export async function candidatesOf(
  odb: Odb,
  missing: ReadonlySet<ObjectId>,
  options: CallOptions = {},
): Promise<ObjectId[]> {
  const named = new Set((await listMetadataRefs(odb.repo, odb.name)).map(({ oid }) => oid));
  const known = [...missing].filter((oid) => named.has(oid));
  const unknown = [...missing].filter((oid) => !named.has(oid));
  if (unknown.length <= ASK_LIMIT) return [...known, ...unknown];
  return [...known, ...(await listed(odb, new Set(unknown), options))];
}

/** A store that cannot be listed (a plain web server) is asked for what the refs name, and for nothing else. */
async function listed(odb: Odb, wanted: ReadonlySet<ObjectId>, options: CallOptions): Promise<ObjectId[]> {
  const found: ObjectId[] = [];
  try {
    for await (const { oid } of (await odb.store()).list({ ...options, onBad: () => {} })) {
      if (wanted.has(oid)) found.push(oid);
    }
  } catch (error) {
    if (!["unsupported", "denied"].includes(toOdbError(error).code)) throw error;
  }
  return found;
}
