/** Brings the objects of a push into the bucket: blobs of their own, then one pack with its index. */

import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Source } from "../object/content.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { openLocalBlobs } from "../odb/local-blobs.js";
import type { Progress } from "../progress.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { packKey } from "../store/bucket-packs.js";
import { inParallel } from "../store/parallel.js";
import type { BucketSettings } from "../store/settings.js";
import { putContent } from "../store/stage.js";
import { privateFolder } from "./private-folder.js";
import type { NewObjects } from "./push-objects.js";
import { objectKey, openObjects } from "./repository.js";

/** Where a push goes and how it is shown. */
export interface Upload {
  readonly repo: Repository;
  readonly bucket: Bucket;
  readonly settings: BucketSettings;
  /** Whether the packs that are there have blobs left out. */
  readonly promisor: boolean;
  /** Keys that a collection may be removing: nothing that is needed may lie there only. */
  readonly doomed: ReadonlySet<string>;
  /** Whether git's own progress is to be seen on stderr. */
  readonly progress: boolean;
  /** Starts showing how many blobs have gone. */
  countBlobs(total: number): Progress;
  readonly signal?: AbortSignal;
}

/** Blobs on their way at the same time: as `git odb push` has. */
const PARALLEL = 48;

/**
 * Uploads everything; durable in the bucket when it resolves. A blob whose key is being removed goes into the pack.
 *
 * @returns the keys of the blobs of their own that the new refs will need
 * @param objects what is missing here must be in the bucket (see `completeObjects`)
 * @throws OdbError as the bucket does
 */
export async function uploadObjects(upload: Upload, objects: NewObjects): Promise<string[]> {
  const { settings, doomed } = upload;
  const isDoomed = (oid: ObjectId) => doomed.has(objectKey(settings, oid));
  const { missing } = objects;
  const selected = objects.selected.filter((oid) => !isDoomed(oid));
  const packed = [...objects.packed, ...objects.selected.filter(isDoomed)];
  await uploadBlobs(upload, selected);
  if (packed.length > 0) {
    await uploadPack(upload, packed, upload.promisor || selected.length > 0 || missing.length > 0);
  }
  return [...selected, ...missing].map((oid) => objectKey(settings, oid));
}

async function uploadBlobs(upload: Upload, selected: readonly ObjectId[]): Promise<void> {
  const { repo, bucket, settings, signal } = upload;
  if (selected.length === 0) return;
  const progress = upload.countBlobs(selected.length);
  const store = await openObjects(bucket, settings, call(signal));
  await using local = await openLocalBlobs(repo, selected, () => true);
  const uploadOne = async (oid: ObjectId) => {
    const info = local.infos.get(oid);
    if (info === undefined) throw gone(oid);
    await local.use(info, (content) => putContent(store, info, progress.through(content), call(signal)));
    progress.add(1);
  };
  let done = false;
  try {
    for await (const _ of inParallel(selected, PARALLEL, uploadOne));
    done = true;
  } finally {
    progress.finish(done);
  }
}

/** `git pack-objects` makes it in a folder that `git prune` clears away after a crash. */
async function uploadPack(upload: Upload, lines: readonly string[], promisor: boolean): Promise<void> {
  const { bucket, repo, signal } = upload;
  await using folder = privateFolder(repo.objectsDir);
  const path = await folder.path();
  const pack = (all: readonly string[]) =>
    packObjects(repo, all, join(path, "pack"), upload.progress, signal);
  let name = await pack(lines);
  // The same objects have had the same name: one more object makes another.
  if (isBeingRemoved(upload.doomed, name)) name = await pack([...lines, await writeNonce(repo)]);
  await uploadFiles(bucket, join(path, name), promisor, call(signal));
}

/** Brings a finished pack into the bucket, the index last. @param base path of the files without extension */
export async function uploadFiles(
  bucket: Bucket,
  base: string,
  promisor: boolean,
  options: CallOptions,
): Promise<void> {
  const name = basename(base);
  await bucket.write(packKey(name, "pack"), await fileSource(`${base}.pack`), options);
  if (promisor) await bucket.write(packKey(name, "promisor"), empty, options);
  await bucket.write(packKey(name, "idx"), await fileSource(`${base}.idx`), options);
}

/** Whether any part of a pack of this name is listed. */
export function isBeingRemoved(doomed: ReadonlySet<string>, name: string): boolean {
  return (["pack", "idx", "promisor"] as const).some((part) => doomed.has(packKey(name, part)));
}

/** A small blob that nobody has; nothing names it, so `git prune` and the next collection take it away again. */
async function writeNonce(repo: Repository): Promise<ObjectId> {
  const oid = await repo.text(["hash-object", "-w", "--stdin"], { input: randomBytes(16).toString("hex") });
  if (!isObjectId(oid)) throw new OdbError("bug", `git hash-object: no id: ${oid.slice(0, 120)}`);
  return oid;
}

/**
 * Packs the objects of `rev-list --objects` lines, whole: no delta stands on anything outside. Commits and tags come
 * first, then trees, then blobs, so that a fetch can leave blobs unread (pack/history.ts).
 *
 * @param base path and beginning of the files' names
 * @returns `pack-<hex>`
 */
export async function packObjects(
  repo: Repository,
  lines: readonly string[],
  base: string,
  progress: boolean,
  signal?: AbortSignal,
): Promise<string> {
  const sorted = await byKind(repo, lines);
  async function* input() {
    for (let at = 0; at < sorted.length; at += BATCH) {
      yield Buffer.from(`${sorted.slice(at, at + BATCH).join("\n")}\n`, "latin1");
    }
  }
  const config = ["-c", "pack.packSizeLimit=0", "-c", "pack.indexVersion=2"];
  const args = [...config, "pack-objects", "--delta-base-offset", progress ? "--progress" : "-q", base];
  const name = await repo.text(args, {
    input: input(),
    env: { GIT_NO_LAZY_FETCH: "1" },
    ...(progress && { stderr: "inherit" as const }),
    ...call(signal),
  });
  if (!isObjectId(name))
    throw new OdbError("bug", `git pack-objects: no name of a pack: ${name.slice(0, 120)}`);
  return `pack-${name}`;
}

/** git keeps the order that it is given, but for a delta's base, which it puts before the delta. */
async function byKind(repo: Repository, lines: readonly string[]): Promise<string[]> {
  const kinds: { readonly [type in ObjectType]: string[] } = { commit: [], tag: [], tree: [], blob: [] };
  const oids = lines.map((line) => line.split(" ", 1)[0] as ObjectId);
  let at = 0;
  for await (const info of infosOf(repo, oids)) {
    const line = lines[at++] ?? "";
    if (info === undefined) throw gone(line.split(" ", 1)[0] ?? "");
    kinds[info.type].push(line);
  }
  return [...kinds.tag, ...kinds.commit, ...kinds.tree, ...kinds.blob];
}

function gone(oid: string): OdbError {
  return new OdbError("integrity", `object ${oid} has gone from this repository: nothing was pushed`);
}

/** A finished file of ours: a file bucket may take it as it is. */
async function fileSource(path: string): Promise<Source> {
  const { size } = await stat(path);
  // git makes packs read-only; the bucket brings its files to disk itself.
  await chmod(path, 0o666 & ~process.umask());
  return {
    size,
    file: { path, disposable: true },
    open: ({ start = 0, end = size } = { start: 0 }) =>
      createReadStream(path, { start, end: Math.max(start, end) - 1, highWaterMark: 1024 * 1024 }),
  };
}

/** Lines that go to git in one piece. */
const BATCH = 4096;

const empty: Source = { size: 0, open: async function* () {} };

function call(signal: AbortSignal | undefined): CallOptions {
  return signal === undefined ? {} : { signal };
}
