/** What a user is told when an ODB became a promisor remote. */

import { isRefusedInSubmodule, type PromisorSetup } from "../odb/promisor-remote.js";
import type { Repository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";

/** What `git submodule update` needs once blobs are not here (gitsubmodules(7)). */
export const submoduleAdvice =
  "This is a submodule: git commands of the repository above it start no odb:: helper, unless you run: git config protocol.odb.allow always";

/** Says what the promisor remote changes for other remotes, and where git would not use it. */
export async function tellOfPromisor(
  name: string,
  { asksLast, taken }: PromisorSetup,
  repo: Repository,
  options: OutputOptions,
  context: Context,
): Promise<void> {
  if (taken !== undefined) {
    context.warn(
      `remote ${taken} is not ours and stays as it is, so git fetches nothing from ODB ${name} by itself: rename it, then run this again`,
    );
  }
  if (asksLast !== undefined) {
    context.note(
      `git asks ODB ${name} before ${asksLast} now (extensions.partialClone = ${asksLast})`,
      options,
    );
  }
  if (await isRefusedInSubmodule(repo)) context.note(submoduleAdvice, options);
}
