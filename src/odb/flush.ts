/** From the journals to the metadata refs: what this process put, and what others put that ended without writing theirs. */

import type { ObjectInfo } from "../object/info.js";
import type { Repository } from "../repo/git.js";
import { addConfirmed, readConfirmed } from "./confirmed.js";
import { type Journal, type JournalFile, readJournals, removeJournals } from "./journal.js";
import { writeMetadataRefs } from "./refs.js";

/** Whose journals. */
export interface FlushPlace {
  readonly repo: Repository;
  readonly name: string;
  /** The ODB's state folder. */
  readonly dir: string;
  /** `storeKey` of the store that `own` is about. */
  readonly key: string;
}

/**
 * Writes the refs in one transaction, then remembers the objects as confirmed, then lets go of the journals: whatever
 * ends it in between, the next start does the rest.
 *
 * @param own the journal of this process
 * @throws OdbError conflict, when another git holds a lock for long; the journals stay then
 */
export async function flushJournals({ repo, name, dir, key }: FlushPlace, own: Journal): Promise<void> {
  // git refuses to write refs while it receives a push: the next start writes them.
  if (process.env.GIT_QUARANTINE_PATH) return;
  const pending = own.pending();
  const others = (await readJournals(dir)).filter(({ path }) => path !== own.path);
  const open = await unwritten(dir, others);
  const infos = [...pending, ...open.flatMap((file) => file.infos)];
  if (infos.length > 0) {
    await writeMetadataRefs(repo, name, infos);
    for (const [store, written] of byStore(open, pending, key)) await addConfirmed(dir, store, written);
  }
  await own.clear(pending);
  await removeJournals(others);
}

/** What other processes put and wrote no refs of yet. A living one's are written once, then confirmed. */
async function unwritten(dir: string, files: readonly JournalFile[]): Promise<JournalFile[]> {
  const open: JournalFile[] = [];
  for (const file of files) {
    if (!file.alive) {
      open.push(file);
      continue;
    }
    const confirmed = await readConfirmed(dir, file.store);
    open.push({ ...file, infos: file.infos.filter(({ oid }) => !confirmed.has(oid)) });
  }
  return open;
}

function byStore(
  files: readonly JournalFile[],
  own: readonly ObjectInfo[],
  key: string,
): Map<string, ObjectInfo[]> {
  const groups = new Map([[key, [...own]]]);
  for (const { store, infos } of files) groups.set(store, [...(groups.get(store) ?? []), ...infos]);
  return groups;
}
