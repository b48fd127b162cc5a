/** Takes bundles into a repository: their packs, proved whole, then their refs under `refs/bundles/`. */

import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";
import { listRefs, type RefUpdate, updateRefs } from "../repo/update-ref.js";
import type { Arrival } from "./arrival.js";
import { type BundleHeader, readBundleHeader } from "./header.js";
import { joinPacks } from "./join.js";
import { openQuarantine, type Quarantine } from "./quarantine.js";
import type { BundleEntry } from "./table.js";

/** Where git keeps what bundles brought; the fetch that follows tells the server that we have it. */
const PREFIX = "refs/bundles/";

/** A bundle whose header is read; the rest of it may still be on its way. */
export interface OpenBundle {
  readonly header: BundleHeader;
  readonly what: string;
  /** The pack's bytes from an offset in it on. */
  bytes(start: number): AsyncIterable<Buffer>;
  /** The whole file's bytes are checked before they end. */
  readonly isChecked: boolean;
}

/**
 * Reads a bundle's header and checks that it fits the repository.
 *
 * @param isPartial whether blobs may be missing here, for a server of ours to be asked for
 * @throws OdbError integrity, when it is no bundle; unsupported, when this repository cannot take it
 */
export async function openBundle(
  repo: Repository,
  arrival: Arrival,
  { uri: what, sha256 }: BundleEntry,
  isPartial: boolean,
): Promise<OpenBundle> {
  const { header, packStart } = await readBundleHeader(arrival.bytes(), what);
  if (header.hash !== repo.hash) {
    throw new OdbError(
      "unsupported",
      `${what}: a bundle of a ${header.hash} repository; this one is ${repo.hash}`,
    );
  }
  if (!isPartial) checkFilter(header.filter, what);
  return {
    header,
    what,
    bytes: (start) => arrival.bytes(packStart + start),
    isChecked: sha256 !== undefined,
  };
}

/** @throws OdbError unsupported, when there is one: git would not notice that blobs are missing */
export function checkFilter(filter: string | undefined, what: string): void {
  if (filter === undefined) return;
  throw new OdbError(
    "unsupported",
    `${what}: made with --filter=${filter}; a full clone with it would lack blobs: take the table of full bundles`,
  );
}

/**
 * Whether the repository has, whole, all that the bundle builds on.
 *
 * @param proved commits that it is known to have so
 */
export async function hasPrerequisites(
  repo: Repository,
  { header }: OpenBundle,
  isPartial: boolean,
  proved: ReadonlySet<ObjectId>,
): Promise<boolean> {
  const open = header.prerequisites.filter((oid) => !proved.has(oid));
  return open.length === 0 || (await isWhole(repo, open, isPartial));
}

/**
 * Indexes the packs as one, by which every object's bytes are proved, checks that nothing they name is missing, and only
 * then writes the refs.
 *
 * @param opening each stands on those before it; git gets ready while the headers arrive
 * @returns the refs
 * @throws OdbError integrity, when a pack is corrupt or not whole: nothing is stored, no ref is written
 */
export async function unbundle(
  repo: Repository,
  opening: Promise<readonly OpenBundle[]>,
  isPartial: boolean,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ObjectId>> {
  // Awaited below, once git is ready.
  opening.catch(() => {});
  await using quarantine = await openQuarantine(repo);
  try {
    await index(repo, quarantine, opening, isPartial, signal);
  } catch (error) {
    throw refused(error, (await opening).map(({ what }) => what).join(", "));
  }
  const refs = refsOf(await opening);
  await quarantine.accept();
  await writeRefs(repo, refs);
  return refs;
}

/** @throws OdbError integrity */
async function index(
  repo: Repository,
  { env }: Quarantine,
  opening: Promise<readonly OpenBundle[]>,
  isPartial: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Nowhere else may a bundle lack blobs.
  const isFiltered = isPartial && (await opening).some(({ header }) => header.filter !== undefined);
  const check = isFiltered ? "--promisor=from-bundle" : "--check-self-contained-and-connected";
  const okStatus = isFiltered ? [0] : [0, 1];
  async function* input() {
    yield* joinPacks(await opening, repo.hash);
  }
  const command = ["index-pack", "--stdin", "--fix-thin", check];
  const { status } = await repo.run(command, { input: input(), okStatus, env, ...(signal && { signal }) });
  if (status === 0) return;
  // 1: it stands on what was here before.
  if (await isWhole(repo, [...refsOf(await opening).values()], isPartial, env)) return;
  throw new OdbError("integrity", "objects that it builds on are missing");
}

/** Whatever git says of a pack is the pack's fault, save a full disk and the like. */
function refused(error: unknown, what: string): unknown {
  if (!(error instanceof OdbError)) return error;
  // Of the download, or of the disk.
  if (error.code !== "config" && error.code !== "integrity") return error;
  if (error.message.startsWith(what)) return error;
  return new OdbError("integrity", `${what}: ${error.message}`, { cause: error });
}

/** Whether all that these reach is here: what our refs reach is known to be. */
async function isWhole(
  repo: Repository,
  oids: readonly ObjectId[],
  isPartial: boolean,
  place: Quarantine["env"] = {},
): Promise<boolean> {
  const promised = isPartial ? ["--exclude-promisor-objects"] : [];
  const args = ["rev-list", "--objects", "--stdin", ...promised, "--not", "--all", "--quiet"];
  const input = oids.map((oid) => `${oid}\n`).join("");
  const env = { GIT_NO_LAZY_FETCH: "1", ...place };
  const { status } = await repo.run(args, { input, okStatus: [0, 1, 128], env });
  return status === 0;
}

/**
 * The refs under which git keeps what bundles brought. Of several bundles the later ones win, also where a branch `a`
 * has given way to one called `a/b`.
 */
function refsOf(bundles: readonly OpenBundle[]): Map<string, ObjectId> {
  const refs = new Map<string, ObjectId>();
  for (const { header } of bundles) {
    const brought = new Map<string, ObjectId>();
    for (const [ref, oid] of header.refs) {
      if (ref.startsWith("refs/")) brought.set(PREFIX + ref.slice("refs/".length), oid);
    }
    for (const ref of inTheWay(refs.keys(), brought)) refs.delete(ref);
    for (const [ref, oid] of brought) refs.set(ref, oid);
  }
  return refs;
}

async function writeRefs(repo: Repository, refs: ReadonlyMap<string, ObjectId>): Promise<void> {
  const updates = [...refs].map(([ref, oid]): RefUpdate => ({ ref, oid }));
  try {
    await updateRefs(repo, updates);
  } catch (error) {
    if (!(error instanceof OdbError) || error.code !== "conflict") throw error;
    const held = (await listRefs(repo, PREFIX)).map(({ ref }) => ref);
    await updateRefs(
      repo,
      inTheWay(held, refs).map((ref): RefUpdate => ({ ref, oid: undefined })),
    );
    await updateRefs(repo, updates);
  }
}

/** Those of `held` that cannot be beside `wanted`: a ref is no folder. */
function inTheWay(held: Iterable<string>, wanted: ReadonlyMap<string, unknown>): string[] {
  const folders = new Set([...wanted.keys()].flatMap(foldersOf));
  return [...held].filter((ref) => folders.has(ref) || foldersOf(ref).some((folder) => wanted.has(folder)));
}

/** `a/b` and `a` of `a/b/c`. */
function foldersOf(ref: string): string[] {
  const parts = ref.split("/");
  return parts.slice(1).map((_, n) => parts.slice(0, n + 1).join("/"));
}
