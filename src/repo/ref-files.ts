/** Which refs there are, by the names of files alone: enough to know that there is nothing to ask git for. */

import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Repository } from "./git.js";

/**
 * What follows `prefix` (`refs/odbs/magic/`) in the names of the refs right below it, those that may be one included: a
 * lock, or a file that git would pass over. So a name that is missing here is no ref, and nothing more is promised.
 *
 * Loose ones are read before packed ones: git packs a ref before it removes its file.
 *
 * @returns undefined when the refs do not lie in files (gitrepository-layout(5)): then git must be asked
 */
export function refNames(repo: Repository, prefix: string): Set<string> | undefined {
  if (!areFiles(repo)) return undefined;
  try {
    const names = new Set(looseNames(join(repo.commonDir, prefix)));
    for (const name of packedNames(join(repo.commonDir, "packed-refs"), prefix)) names.add(name);
    return names;
  } catch {
    // Not to be read by us: git will say why.
    return undefined;
  }
}

/** Whether there may be a ref of this name: only then is git worth a process. */
export function mayHaveRef(repo: Repository, ref: string): boolean {
  try {
    if (!areFiles(repo) || lstatSync(join(repo.commonDir, ref), { throwIfNoEntry: false })) return true;
    return readPacked(join(repo.commonDir, "packed-refs")).includes(` ${ref}\n`);
  } catch {
    return true;
  }
}

/** Another storage leaves a file where `refs/heads` is, and maybe a folder of its own. */
function areFiles(repo: Repository): boolean {
  const at = (name: string) => lstatSync(join(repo.commonDir, name), { throwIfNoEntry: false });
  if (process.env.GIT_REFERENCE_BACKEND !== undefined || at("reftable")) return false;
  return at("refs/heads")?.isDirectory() === true;
}

function looseNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Lines of `<oid> SP <ref>`; those that begin with `#` or `^` say other things. */
function* packedNames(path: string, prefix: string): Generator<string> {
  const text = readPacked(path).toString("latin1");
  const mark = ` ${prefix}`;
  for (let at = text.indexOf(mark); at >= 0; ) {
    const start = at + mark.length;
    const end = text.indexOf("\n", start);
    yield text.slice(start, end < 0 ? text.length : end);
    if (end < 0) return;
    at = text.indexOf(mark, end);
  }
}

function readPacked(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
