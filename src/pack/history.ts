/**
 * What the front of a pack tells before the rest is read. `git pack-objects` writes commits and tags first, then trees,
 * then blobs, and each delta behind its base (compute_write_order in builtin/pack-objects.c).
 */

import { OdbError } from "../errors.js";
import { type HashAlgorithm, hexLength, isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import { entryBody } from "./body.js";
import { ByteReader } from "./byte-reader.js";
import { applyDeltaAtOnce, deltaHead } from "./delta-at-once.js";
import { readEntryHeader } from "./entry.js";
import type { ReadRange } from "./idx.js";
import type { JoinSource } from "./join.js";
import { bodyWhole } from "./object-digest.js";

/** What each commit or tag names: parents, or the tagged object. Trees are left out. */
export type History = ReadonlyMap<ObjectId, readonly ObjectId[]>;

/** Read at first, and more each time. */
const FIRST = 8 * 1024;
const MOST = 1024 * 1024;

/** A commit or tag is larger never but on purpose. */
const LIMIT = 16 * 1024 * 1024;

/** Enough for the headers of some entries. */
const PROBE = 4 * 1024;

/**
 * Reads the commits and tags that stand at the front of a pack.
 *
 * @param read of the pack
 * @throws OdbError integrity, when index and pack do not fit
 */
export async function readHistory(
  read: ReadRange,
  source: JoinSource,
  hash: HashAlgorithm,
): Promise<History> {
  const history = new Map<ObjectId, readonly ObjectId[]>();
  const known = new Map<number, { type: ObjectType; bytes: Buffer }>();
  const [first] = source.entries;
  if (first === undefined) return history;
  const reader = new ByteReader(
    pieces(read, first.offset, source.size),
    source.name,
    undefined,
    first.offset,
  );
  try {
    for (const { oid, offset } of source.entries) {
      if (reader.position !== offset) break;
      const header = await readEntryHeader(reader, hash, source.name);
      const base = header.baseOffset === undefined ? undefined : known.get(header.baseOffset);
      const type = base?.type ?? header.type;
      if ((type !== "commit" && type !== "tag") || header.size > LIMIT) break;
      const body = await bodyWhole(entryBody(reader, header.size, source.name), LIMIT, source.name);
      const bytes = base ? patched(base.bytes, body, source.name) : body;
      known.set(offset, { type, bytes });
      history.set(oid, linksOf(bytes));
    }
  } finally {
    await reader.close();
  }
  return history;
}

async function* pieces(read: ReadRange, start: number, end: number) {
  for (let at = start, size = FIRST; at < end; at += size, size = Math.min(2 * size, MOST)) {
    yield await read(at, Math.min(at + size, end));
  }
}

function patched(base: Buffer, delta: Buffer, what: string): Buffer {
  const head = deltaHead(delta, what);
  if (head.size <= LIMIT) return applyDeltaAtOnce(base, delta, head, what);
  throw new OdbError("invalid", `${what}: more than ${LIMIT} bytes, which is the most accepted here`);
}

/** The header lines end at the first empty line. */
function linksOf(bytes: Buffer): ObjectId[] {
  const end = bytes.indexOf("\n\n");
  const header = bytes.toString("latin1", 0, end < 0 ? bytes.length : end + 1);
  const links: ObjectId[] = [];
  for (const [, oid = ""] of header.matchAll(/^(?:parent|object) ([0-9a-f]+)$/gm)) {
    if (isObjectId(oid)) links.push(oid);
  }
  return links;
}

/**
 * Where the blobs of a pack begin: the place among its entries of the first that is a blob and no delta, found by
 * halving. In a pack that is not in git's order it is some place.
 */
export async function firstBlob(read: ReadRange, { entries, size }: JoinSource, hash: HashAlgorithm) {
  const trailer = size - hexLength[hash] / 2;
  let answer = entries.length;
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const start = entries[middle]?.offset ?? trailer;
    const end = Math.min(start + PROBE, entries[high]?.offset ?? trailer);
    const bytes = Buffer.from(await read(start, end));
    let found = middle;
    const codeAt = (at: number) => ((bytes[(entries[at]?.offset ?? end) - start] ?? 0) >> 4) & 7;
    while (found < high && (entries[found]?.offset ?? end) < end && codeAt(found) >= OFS_DELTA) found++;
    const isInside = found < high && (entries[found]?.offset ?? end) < end;
    if (isInside && codeAt(found) !== BLOB) low = found + 1;
    else {
      if (isInside) answer = found;
      high = middle;
    }
  }
  return answer;
}

const BLOB = 3;
const OFS_DELTA = 6;
