/** Where the blobs of selected paths are: in the repository, in their ODB, waiting for it, or nowhere. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ObjectId, parseObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { checkAttribute } from "../repo/attributes.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import type { OdbConfig } from "./config.js";
import { selector } from "./select.js";

/** A path whose `odb` attribute names an ODB, and its blob. */
export interface SelectedPath {
  /** The bytes of the path, relative to the top of the work tree. */
  readonly path: Buffer;
  readonly oid: ObjectId;
  /** The attribute's value: it need not be configured, nor be a possible name. */
  readonly odb: string;
}

/**
 * Every selected file of the index; without a work tree, of HEAD. Symbolic links and submodules are none. Files are
 * selected by size too, where an ODB has `minSize` and the blob is here.
 *
 * @param warn told, a line each, of attributes that select nothing
 */
export async function* selectedPaths(
  repo: Repository,
  odbs: ReadonlyMap<string, OdbConfig>,
  warn: (line: string) => void,
): AsyncGenerator<SelectedPath> {
  const files: TrackedFile[] = [];
  for await (const file of trackedFiles(repo)) files.push(file);
  const sizes = await sizesFor(repo, odbs, files);
  const select = selector(odbs, warn);
  const paths = files.map(({ path }) => path);
  let index = 0;
  for await (const value of checkAttribute(repo, "odb", paths)) {
    const file = files[index++];
    if (file === undefined) continue;
    const odb = typeof value === "string" ? value : select(value, file.path.toString(), sizes.get(file.oid));
    if (odb !== undefined) yield { ...file, odb };
  }
}

/** Which of these objects the repository itself has, with their sizes, and without asking any ODB or remote. */
export async function localObjects(
  repo: Repository,
  oids: readonly ObjectId[],
): Promise<Map<ObjectId, ObjectInfo | undefined>> {
  const found = new Map<ObjectId, ObjectInfo | undefined>();
  let index = 0;
  for await (const info of infosOf(repo, oids)) {
    const oid = oids[index++];
    if (oid !== undefined && info !== undefined) found.set(oid, info);
    // What a git with ODB support has fetched lies where no other git looks.
    else if (oid !== undefined && isExternal(repo, oid)) found.set(oid, undefined);
  }
  return found;
}

type TrackedFile = Omit<SelectedPath, "odb">;

/** Sizes of local blobs, if any ODB selects by size. */
async function sizesFor(
  repo: Repository,
  odbs: ReadonlyMap<string, OdbConfig>,
  files: readonly TrackedFile[],
): Promise<Map<ObjectId, number>> {
  const sizes = new Map<ObjectId, number>();
  if (![...odbs.values()].some(({ minSize }) => minSize !== undefined)) return sizes;
  const oids = files.map(({ oid }) => oid);
  for await (const info of infosOf(repo, oids)) if (info) sizes.set(info.oid, info.size);
  return sizes;
}

async function* trackedFiles(repo: Repository): AsyncGenerator<TrackedFile> {
  const args = repo.bare ? ["ls-tree", "-r", "-z", "HEAD"] : ["ls-files", "-s", "-z"];
  if (repo.bare && !(await hasHead(repo))) return;
  // `<mode> <oid> <stage>TAB<path>` or `<mode> <type> <oid>TAB<path>`
  for await (const record of repo.runRecords(args, { separator: "\0" })) {
    const tab = record.indexOf(9);
    const fields = record.toString("latin1", 0, tab).split(" ");
    const oid = repo.bare ? fields[2] : fields[1];
    if (fields[0]?.startsWith("100") && oid)
      yield { path: record.subarray(tab + 1), oid: parseObjectId(oid) };
  }
}

async function hasHead(repo: Repository): Promise<boolean> {
  const { status } = await repo.run(["rev-parse", "--verify", "--quiet", "HEAD"], { okStatus: [0, 1] });
  return status === 0;
}

function isExternal(repo: Repository, oid: ObjectId): boolean {
  return existsSync(join(repo.objectsDir, "external", oid.slice(0, 2), oid.slice(2)));
}
