/** Opens the ODB that a user named, for as long as a verb runs. */

import { type Odb, openOdb } from "../odb/session.js";
import { gitCredentials } from "../repo/credential.js";
import type { Repository } from "../repo/git.js";
import type { Context } from "./context.js";

/**
 * Runs `use` with the ODB open, then writes the metadata refs of what was put and closes the store.
 *
 * @throws OdbError config, when it is not configured; what `use` or closing throws
 */
export async function withOdb<T>(
  repo: Repository,
  name: string,
  context: Context,
  use: (odb: Odb) => Promise<T>,
): Promise<T> {
  const warn = (line: string) => context.warn(line);
  await using odb = await openOdb(repo, name, { warn, bucket: { credentials: gitCredentials(repo) } });
  return await use(odb);
}
