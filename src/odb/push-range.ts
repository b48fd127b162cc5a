/** The blobs that a push must find in their ODBs: of each commit that is new to the remote, by the attributes at that commit. */

import { isObjectId, type ObjectId, parseObjectId } from "../object/id.js";
import { checkAttribute } from "../repo/attributes.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import type { OdbConfig } from "./config.js";
import { type Selector, selector } from "./select.js";

/** A blob that belongs in an ODB, and one place where it was found. */
export interface RangeBlob {
  readonly oid: ObjectId;
  readonly odb: string;
  readonly path: string;
  readonly commit: ObjectId;
}

/** Which commits are about to be pushed. */
export interface PushRange {
  /** What is pushed: any names of commits, tags too. */
  readonly tips: readonly string[];
  /** What the remote is known to have: ids of commits that are here. */
  readonly exclude?: readonly string[];
  /** Its remote-tracking refs tell what it has, too. */
  readonly remote?: string;
  /** The commit whose attributes are those of every commit, for a history of before the files were marked. */
  readonly attributes?: ObjectId;
  /** What {@link commitsOf} says of it, where that is known already. */
  readonly commits?: Commits;
}

/** Commits with their parents, parents before children. */
export type Commits = ReadonlyMap<ObjectId, readonly ObjectId[]>;

/**
 * The selected blobs of the commits in the range: what each commit adds or changes, and its whole tree where it changes a
 * `.gitattributes`. Each blob comes once for each ODB.
 *
 * @param warn told, a line each, of attributes that select nothing
 * @param select by default what the ODBs take
 */
export async function selectedInRange(
  repo: Repository,
  range: PushRange,
  odbs: ReadonlyMap<string, OdbConfig>,
  warn: (line: string) => void,
  select: Selector = selector(odbs, warn),
): Promise<RangeBlob[]> {
  const groups = await changesByAttributes(repo, range);
  const sizes = await sizesFor(repo, odbs, groups);
  const found = new Map<string, RangeBlob>();
  for (const [source, changes] of groups) {
    let at = 0;
    const paths = changes.map(({ path }) => path);
    for await (const value of checkAttribute(repo, "odb", paths, { source })) {
      const { oid, path, commit } = changes[at++] as Change;
      const odb = select(value, path.toString(), sizes.get(oid));
      if (odb !== undefined && !found.has(`${odb} ${oid}`)) {
        found.set(`${odb} ${oid}`, { oid, odb, path: path.toString(), commit });
      }
    }
  }
  return [...found.values()];
}

/** Every object that the commits of the range add to what the remote has, as far as it is known. */
export async function objectsInRange(repo: Repository, range: PushRange): Promise<Set<ObjectId>> {
  const { args, input } = revList(range);
  const objects = new Set<ObjectId>();
  const command = ["rev-list", "--objects", "--no-object-names", "--missing=print", ...args];
  for await (const line of repo.runLines(command, { input, env: LOCAL })) {
    // What is not here has a question mark in front.
    const oid = line.replace("?", "");
    if (isObjectId(oid)) objects.add(oid);
  }
  return objects;
}

/** A file as a commit has it. */
interface Change {
  readonly commit: ObjectId;
  readonly oid: ObjectId;
  readonly path: Buffer;
}

/**
 * What the commits add and change, under a commit whose attributes are theirs: one that leaves every `.gitattributes` alone
 * shares those of its parent, so that git is asked once for a long line of commits.
 */
async function changesByAttributes(repo: Repository, range: PushRange): Promise<Map<ObjectId, Change[]>> {
  const parents = range.commits ?? (await commitsOf(repo, range));
  const groups = new Map<ObjectId, Change[]>();
  const sources = new Map<ObjectId, ObjectId>();
  // Parents come first: the source of one is known when its child comes.
  for await (const { commit, changes } of changesOf(repo, [...parents.keys()])) {
    const [parent, ...others] = parents.get(commit) ?? [];
    const changesAttributes = changes.some(({ path }) => isAttributesFile(path));
    const inherited = parent !== undefined && others.length === 0 ? sources.get(parent) : undefined;
    const source = range.attributes ?? ((!changesAttributes && inherited) || commit);
    sources.set(commit, source);
    const files = changesAttributes ? await filesOf(repo, commit) : changes.filter(({ oid }) => !isNull(oid));
    const group = groups.get(source);
    if (group === undefined) groups.set(source, files);
    else for (const file of files) group.push(file);
  }
  return groups;
}

/** The commits of the range. */
export async function commitsOf(repo: Repository, range: PushRange): Promise<Commits> {
  const { args, input } = revList(range);
  const command = ["rev-list", "--topo-order", "--reverse", "--parents", ...args];
  const commits = new Map<ObjectId, ObjectId[]>();
  for await (const line of repo.runLines(command, { input, env: LOCAL })) {
    const [commit, ...parents] = line.split(" ").map(parseObjectId);
    if (commit !== undefined) commits.set(commit, parents);
  }
  return commits;
}

/** The range in the words of git rev-list. Options do not go through stdin: git before 2.42 takes none there. */
function revList({ tips, exclude = [], remote }: PushRange): { args: string[]; input: string } {
  const known = remote === undefined ? [] : ["--not", `--remotes=${remote}`];
  const input = [...tips, ...exclude.map((oid) => `^${oid}`)].map((rev) => `${rev}\n`).join("");
  return { args: ["--stdin", ...known], input };
}

/**
 * The files that each commit adds, changes or takes away (a null id), of a merge by each parent in turn: what another
 * branch brings may be selected by the attributes of this one.
 */
async function* changesOf(
  repo: Repository,
  commits: readonly ObjectId[],
): AsyncGenerator<{ commit: ObjectId; changes: Change[] }> {
  const format = ["-r", "-z", "--raw", "--no-renames", "--no-abbrev"];
  const args = ["diff-tree", "--stdin", "--root", "--always", "-m", ...format];
  const input = commits.map((commit) => `${commit}\n`).join("");
  let current: { commit: ObjectId; changes: Change[] } | undefined;
  let raw: string | undefined;
  for await (const record of repo.runRecords(args, { separator: "\0", input, env: LOCAL })) {
    if (raw !== undefined && current !== undefined) {
      const oid = parseRaw(raw);
      if (oid !== undefined || isAttributesFile(record)) {
        current.changes.push({ commit: current.commit, oid: oid ?? nullId(repo), path: record });
      }
      raw = undefined;
    } else if (record[0] === COLON) {
      raw = record.toString("latin1");
    } else {
      const commit = parseObjectId(record.toString("latin1"));
      if (commit === current?.commit) continue;
      if (current !== undefined) yield current;
      current = { commit, changes: [] };
    }
  }
  if (current !== undefined) yield current;
}

/**
 * Trees and attributes only: nothing that a range names need be brought from elsewhere. git pushes the commits
 * themselves, whatever a replace ref shows here in their place.
 */
const LOCAL = { GIT_NO_LAZY_FETCH: "1", GIT_NO_REPLACE_OBJECTS: "1" };

const COLON = 58;

/** `:<old mode> <mode> <old oid> <oid> <status>`. @returns the id of a file, undefined for anything else */
function parseRaw(raw: string): ObjectId | undefined {
  const [, mode = "", , oid = ""] = raw.split(" ");
  return mode.startsWith("100") && isObjectId(oid) ? oid : undefined;
}

/** Every file of a commit. */
async function filesOf(repo: Repository, commit: ObjectId): Promise<Change[]> {
  const files: Change[] = [];
  const args = ["ls-tree", "-r", "-z", "--full-tree", commit];
  for await (const record of repo.runRecords(args, { separator: "\0", env: LOCAL })) {
    const tab = record.indexOf(9);
    const [mode = "", , oid = ""] = record.toString("latin1", 0, tab).split(" ");
    if (mode.startsWith("100"))
      files.push({ commit, oid: parseObjectId(oid), path: record.subarray(tab + 1) });
  }
  return files;
}

/** Sizes of local blobs, if any ODB selects by size. What is not here was selected when it came. */
async function sizesFor(
  repo: Repository,
  odbs: ReadonlyMap<string, OdbConfig>,
  groups: ReadonlyMap<ObjectId, readonly Change[]>,
): Promise<Map<ObjectId, number>> {
  const sizes = new Map<ObjectId, number>();
  if (![...odbs.values()].some(({ minSize }) => minSize !== undefined)) return sizes;
  const oids = new Set([...groups.values()].flatMap((changes) => changes.map(({ oid }) => oid)));
  for await (const info of infosOf(repo, oids)) if (info) sizes.set(info.oid, info.size);
  return sizes;
}

function isAttributesFile(path: Buffer): boolean {
  const text = path.toString("latin1");
  return text === ".gitattributes" || text.endsWith("/.gitattributes");
}

function isNull(oid: ObjectId): boolean {
  return /^0+$/.test(oid);
}

function nullId(repo: Repository): ObjectId {
  return parseObjectId("0".repeat(repo.hash === "sha1" ? 40 : 64));
}
