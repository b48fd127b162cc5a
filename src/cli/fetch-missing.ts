/** What `fetch` and `pull` do once they know what to look at. */

import type { ObjectId } from "../object/id.js";
import { candidatesOf } from "../odb/candidates.js";
import { readOdbConfig } from "../odb/config.js";
import { adoptExternal } from "../odb/external.js";
import { isOdbRemote, promisorRemotes } from "../odb/promisor-remote.js";
import { formatBytes } from "../progress.js";
import { fetchObjects } from "../remote/fetch.js";
import { readConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import { clearLeftBehind } from "../repo/left-behind.js";
import type { Context, OutputOptions } from "./context.js";
import { withOdb } from "./odb.js";

interface Options extends OutputOptions {
  readonly dryRun?: boolean;
}

/** So many missing objects are named, the others counted. */
const NAMED = 5;

/**
 * Asks the ODBs in the order of the config for what `find` says is missing. Exit 1 when something is left that no other
 * promisor can be asked for.
 */
export async function bringMissing(
  repo: Repository,
  options: Options,
  context: Context,
  find: () => Promise<readonly ObjectId[]>,
): Promise<void> {
  const entries = await readConfig(repo);
  const odbs = await readOdbConfig(repo, entries);
  if (!options.dryRun) {
    await clearLeftBehind(repo);
    await adopt(repo, options, context);
  }
  const left = new Set(await find());
  if (options.dryRun) return listMissing(left, context);
  const broken = new Set<ObjectId>();
  for (const name of odbs.keys()) {
    if (left.size > 0) await bringFrom(repo, name, left, broken, options, context);
  }
  if (left.size === 0) return;
  const others = promisorRemotes(entries).filter((remote) => !isOdbRemote(remote));
  if (others.length > 0) {
    context.note(
      `${count(left.size)} in no ODB; git asks ${others.join(", ")} for them when they are needed`,
      options,
    );
    return;
  }
  // What is broken has been named already.
  const nowhere = [...left].filter((oid) => !broken.has(oid));
  for (const oid of nowhere.slice(0, NAMED)) context.warn(`object ${oid} is missing, and in no ODB`);
  if (nowhere.length > NAMED)
    context.warn(`${nowhere.length - NAMED} more objects are missing, and in no ODB`);
  process.exitCode = 1;
}

async function adopt(repo: Repository, options: Options, context: Context): Promise<void> {
  const moved = await adoptExternal(repo, (line) => context.warn(line));
  if (moved > 0)
    context.note(`Moved ${count(moved)} from objects/external to where every git finds them`, options);
}

async function listMissing(missing: ReadonlySet<ObjectId>, context: Context): Promise<void> {
  for (const oid of missing) await context.print(`${oid}\n`);
}

/** Takes what arrives out of `left`; `broken` gets what the store has with other bytes. */
async function bringFrom(
  repo: Repository,
  name: string,
  left: Set<ObjectId>,
  broken: Set<ObjectId>,
  options: Options,
  context: Context,
): Promise<void> {
  await withOdb(repo, name, context, async (odb) => {
    const wanted = await candidatesOf(odb, left, { signal: context.signal });
    if (wanted.length === 0) return;
    const progress = context.progress(`Fetching from ${name}`, wanted.length, options);
    const onBad = (oid: ObjectId, error: Error) => {
      broken.add(oid);
      const mend = `"git odb put ${name} ${oid}" in a clone that has it sends it again`;
      context.warn(`${error.message} (in ODB ${name}): not installed; ${mend}`);
    };
    const call = { progress, onBad, signal: context.signal };
    const { objects } = await fetchObjects(await odb.store(), wanted, repo.objectsDir, call).catch(
      (error) => {
        progress.finish(false);
        throw error;
      },
    );
    progress.finish();
    for (const { oid } of objects) left.delete(oid);
    const bytes = objects.reduce((sum, { size }) => sum + size, 0);
    if (objects.length > 0) {
      context.note(`Fetched ${count(objects.length)}, ${formatBytes(bytes)}, from ODB ${name}`, options);
    }
  });
}

function count(objects: number): string {
  return objects === 1 ? "1 object" : `${objects} objects`;
}
