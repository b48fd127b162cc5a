/** Takes a downloaded bundle into a repository: its pack, proved whole, then its refs under `refs/bundles/`. */

import { createReadStream } from "node:fs";
import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";
import { listRefs, type RefUpdate, updateRefs } from "../repo/update-ref.js";
import { type BundleHeader, readBundleHeader } from "./header.js";

/** Where git keeps what bundles brought; the fetch that follows tells the server that we have it. */
const PREFIX = "refs/bundles/";

/** A bundle on disk, its header read. */
export interface OpenBundle {
  readonly header: BundleHeader;
  readonly path: string;
  readonly packStart: number;
  readonly isPartial: boolean;
}

/**
 * Reads a bundle's header and checks that it fits the repository.
 *
 * @param isPartial whether blobs may be missing here, for a server of ours to be asked for
 * @throws OdbError integrity, when it is no bundle; unsupported, when this repository cannot take it
 */
export async function openBundle(
  repo: Repository,
  path: string,
  what: string,
  isPartial: boolean,
): Promise<OpenBundle> {
  const { header, packStart } = await readBundleHeader(createReadStream(path), what);
  if (header.hash !== repo.hash) {
    throw new OdbError(
      "unsupported",
      `${what}: a bundle of a ${header.hash} repository; this one is ${repo.hash}`,
    );
  }
  if (header.filter !== undefined && !isPartial) {
    throw new OdbError(
      "unsupported",
      `${what}: made with --filter=${header.filter}; a full clone with it would lack blobs: take the table of full bundles`,
    );
  }
  return { header, path, packStart, isPartial };
}

/** Whether the repository has, whole, all that the bundle builds on. */
export async function hasPrerequisites(repo: Repository, bundle: OpenBundle): Promise<boolean> {
  const { prerequisites } = bundle.header;
  return prerequisites.length === 0 || (await isWhole(repo, prerequisites, bundle.isPartial));
}

/**
 * Indexes the pack, by which every object's bytes are proved, checks that nothing they name is missing, and only then
 * writes the refs.
 *
 * @throws OdbError integrity, when the pack is corrupt or not whole: no ref is written
 */
export async function unbundle(
  repo: Repository,
  bundle: OpenBundle,
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  const { header, path, packStart } = bundle;
  const isFiltered = header.filter !== undefined;
  const check = isFiltered ? "--promisor=from-bundle" : "--check-self-contained-and-connected";
  const input = createReadStream(path, { start: packStart, highWaterMark: 1 << 20 });
  const okStatus = isFiltered ? [0] : [0, 1];
  const pipe = ["index-pack", "--stdin", "--fix-thin", check];
  try {
    const { status } = await repo.run(pipe, { input, okStatus, ...(signal && { signal }) });
    if (status !== 0 && !(await isWhole(repo, [...header.refs.values()], bundle.isPartial))) {
      throw new OdbError("integrity", "objects that it builds on are missing");
    }
  } catch (error) {
    throw refused(error, what);
  }
  await writeRefs(repo, header.refs);
}

/** Whatever git says of a pack is the pack's fault, save a full disk and the like. */
function refused(error: unknown, what: string): unknown {
  if (!(error instanceof OdbError)) return error;
  if (error.code === "full" || error.code === "denied" || error.code === "aborted") return error;
  return new OdbError("integrity", `${what}: ${error.message}`, { cause: error });
}

/** Whether all that these reach is here: what our refs reach is known to be. */
async function isWhole(repo: Repository, oids: readonly ObjectId[], isPartial: boolean): Promise<boolean> {
  const promised = isPartial ? ["--exclude-promisor-objects"] : [];
  const args = ["rev-list", "--objects", "--stdin", ...promised, "--not", "--all", "--quiet"];
  const input = oids.map((oid) => `${oid}\n`).join("");
  const { status } = await repo.run(args, { input, okStatus: [0, 1, 128], env: { GIT_NO_LAZY_FETCH: "1" } });
  return status === 0;
}

/** A branch `a` may have given way to one called `a/b` since an earlier bundle. */
async function writeRefs(repo: Repository, refs: ReadonlyMap<string, ObjectId>): Promise<void> {
  const wanted = new Map<string, ObjectId>();
  for (const [ref, oid] of refs) {
    if (ref.startsWith("refs/")) wanted.set(PREFIX + ref.slice("refs/".length), oid);
  }
  const folders = new Set([...wanted.keys()].flatMap(foldersOf));
  const held = await listRefs(repo, PREFIX);
  const inTheWay = held.filter(
    ({ ref }) => folders.has(ref) || foldersOf(ref).some((folder) => wanted.has(folder)),
  );
  await updateRefs(
    repo,
    inTheWay.map(({ ref }): RefUpdate => ({ ref, oid: undefined })),
  );
  await updateRefs(
    repo,
    [...wanted].map(([ref, oid]): RefUpdate => ({ ref, oid })),
  );
}

/** `a/b` and `a` of `a/b/c`. */
function foldersOf(ref: string): string[] {
  const parts = ref.split("/");
  return parts.slice(1).map((_, n) => parts.slice(0, n + 1).join("/"));
}
