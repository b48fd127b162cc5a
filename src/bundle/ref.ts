/** `refs/odbs/<name>/bundle`: the URL of a bundle with which every helper begins a clone. */

import { OdbError } from "../errors.js";
import { metadataPrefix } from "../odb/refs.js";
import type { Repository } from "../repo/git.js";
import { updateRefs, writeBlobs } from "../repo/update-ref.js";
import { type BundleTable, checkBundleUri } from "./table.js";

/**
 * The newest bundle that needs no other one and leaves nothing out: the helper's step takes just one.
 *
 * @throws OdbError config, when the table has none
 */
export function newestBase({ bundles }: BundleTable, what: string): string {
  const bases = bundles.filter(({ requires, filter }) => requires === undefined && filter === undefined);
  const newest = bases.at(-1);
  if (newest !== undefined) return newest.uri;
  throw new OdbError("config", `${what}: it lists no full bundle that stands alone`);
}

/**
 * Points an ODB's bundle ref to a URL.
 *
 * @returns false when it pointed there already
 */
export async function writeBundleRef(repo: Repository, name: string, uri: string): Promise<boolean> {
  const ref = `${metadataPrefix(name)}bundle`;
  const [oid] = await writeBlobs(repo, [Buffer.from(`bundle url: ${checkBundleUri(uri, ref)}\n`)]);
  const before = await repo.text(["rev-parse", "--quiet", "--verify", ref], { okStatus: [0, 1] });
  if (oid === undefined || before === oid) return false;
  await updateRefs(repo, [{ ref, oid }]);
  return true;
}
