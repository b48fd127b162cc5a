/** Metadata refs: `refs/odbs/<name>/<oid>` points to a blob `<oid> <size> <type>\n`. */

import { OdbError } from "../errors.js";
import { hashObject } from "../object/content.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { formatInfo, type ObjectInfo, parseInfo } from "../object/info.js";
import { infosOf, smallObjects } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { refNames } from "../repo/ref-files.js";
import { listRefs, type RefUpdate, updateRefs, writeBlobs } from "../repo/update-ref.js";
import { areKnown, metadataPrefix } from "./ref-name.js";

export { METADATA_REFS, metadataPrefix } from "./ref-name.js";

/** A metadata blob is never larger. */
export const METADATA_LIMIT = 4096;

/** An object that a ref claims to be in an ODB: a candidate, proved by nothing yet. */
export interface MetadataRef {
  /** The object, by the last part of the ref. */
  readonly oid: ObjectId;
  /** The blob that the ref points to. */
  readonly blob: ObjectId;
}

/** The bytes of a metadata blob. */
export function formatMetadata(info: ObjectInfo): Buffer {
  return Buffer.from(`${formatInfo(info)}\n`);
}

/**
 * Every metadata ref of an ODB, sorted; `bundle` and `config` are none. Nothing is read but the refs.
 *
 * @param known objects that are left out; waited for while git lists the refs. When the names of files show no others,
 *   no git is run: reading 1,000 loose refs takes it 20 ms and more.
 */
export async function listMetadataRefs(
  repo: Repository,
  name: string,
  known?: PromiseLike<(oid: ObjectId) => boolean>,
): Promise<MetadataRef[]> {
  const prefix = metadataPrefix(name);
  const found: MetadataRef[] = [];
  const names = known === undefined ? undefined : refNames(repo, prefix);
  if (known !== undefined && names !== undefined) {
    const isKnown = await known;
    if (areKnown(names, isKnown)) return [];
  }
  const refs = await listRefs(repo, prefix);
  const isKnown = await known;
  for (const { ref, oid } of refs) {
    const last = ref.slice(prefix.length);
    if (!isKnown?.(last as ObjectId) && isObjectId(last)) found.push({ oid: last, blob: oid });
  }
  return found;
}

/** What the metadata blobs say, and the refs that are refused. */
export interface Metadata {
  readonly infos: Map<ObjectId, ObjectInfo>;
  /** One line each: the blob is missing, too large, no metadata, or of another object. */
  readonly refused: string[];
}

/** Reads metadata blobs, all of an ODB's or those given, by one `git cat-file`. */
export async function readMetadata(
  repo: Repository,
  name: string,
  refs?: readonly MetadataRef[],
): Promise<Metadata> {
  const wanted = refs ?? (await listMetadataRefs(repo, name));
  const infos = new Map<ObjectId, ObjectInfo>();
  const refused: string[] = [];
  if (wanted.length === 0) return { infos, refused };
  let at = 0;
  for await (const found of smallObjects(
    repo,
    wanted.map(({ blob }) => blob),
    METADATA_LIMIT,
  )) {
    const ref = wanted[at++] as MetadataRef;
    const info = found && metadataOf(found.content);
    if (info?.oid === ref.oid) infos.set(ref.oid, info);
    else
      refused.push(`ref ${metadataPrefix(name)}${ref.oid} is ignored: ${whyRefused(found?.content, info)}`);
  }
  return { infos, refused };
}

/** Whether a ref's blob says exactly this, without reading it: a blob's id is the hash of what it says. */
export function metadataIs(ref: MetadataRef, info: ObjectInfo, repo: Repository): boolean {
  return hashObject("blob", formatMetadata(info), repo.hash) === ref.blob;
}

/**
 * Writes the metadata refs of these objects: the blobs first, then all refs in one transaction; two processes,
 * whatever their number. A ref that is there and says something else is put right.
 *
 * @throws OdbError conflict, when another git holds a lock for longer than ten seconds
 */
export async function writeMetadataRefs(
  repo: Repository,
  name: string,
  infos: readonly ObjectInfo[],
): Promise<void> {
  const prefix = metadataPrefix(name);
  const distinct = [...new Map(infos.map((info) => [info.oid, info])).values()];
  const blobs = await writeBlobs(repo, distinct.map(formatMetadata));
  const updates = distinct.map(({ oid }, n): RefUpdate => ({ ref: prefix + oid, oid: blobs[n] as ObjectId }));
  await updateRefs(repo, updates);
}

/**
 * Writes those of the refs' blobs again that are gone: `git gc --prune=now` takes what was written while it runs, and a
 * ref to nothing makes every git fail that reads all refs.
 */
export async function mendMetadata(repo: Repository, infos: readonly ObjectInfo[]): Promise<void> {
  const contents = infos.map(formatMetadata);
  const oids = contents.map((content) => hashObject("blob", content, repo.hash));
  const lost: Buffer[] = [];
  let at = 0;
  for await (const found of infosOf(repo, oids)) {
    const content = contents[at++];
    if (found === undefined && content !== undefined) lost.push(content);
  }
  if (lost.length > 0) await writeBlobs(repo, lost);
}

/** Takes the metadata refs of these objects away, in one transaction. */
export async function deleteMetadataRefs(
  repo: Repository,
  name: string,
  oids: readonly ObjectId[],
): Promise<void> {
  const prefix = metadataPrefix(name);
  await updateRefs(
    repo,
    [...new Set(oids)].map((oid) => ({ ref: prefix + oid, oid: undefined })),
  );
}

function metadataOf(content: Buffer): ObjectInfo | undefined {
  try {
    return parseInfo(content.toString("latin1").replace(/\n$/, ""));
  } catch (error) {
    if (error instanceof OdbError && error.code === "invalid") return undefined;
    throw error;
  }
}

function whyRefused(content: Buffer | undefined, info: ObjectInfo | undefined): string {
  if (content === undefined) return `its blob is missing or larger than ${METADATA_LIMIT} bytes`;
  return info === undefined ? 'its blob is no "<oid> <size> <type>" line' : `its blob is about ${info.oid}`;
}
