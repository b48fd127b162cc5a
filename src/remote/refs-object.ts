/**
 * `git-odb/refs`: every ref of a serverless repository in one object, so that one compare-and-swap moves them all.
 * First line `HEAD <symref>` (or `HEAD <oid>`), then, once something has been collected, `gc <epoch> <name>…`, then the
 * lines of `info/refs` (gitrepository-layout(5)).
 */

import type { Bucket, CallOptions, WriteOptions, WriteOutcome } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect, sourceOf } from "../object/content.js";
import { algorithmOf, type HashAlgorithm, isObjectId, type ObjectId } from "../object/id.js";

/** The key of the one truth about refs. */
export const refsKey = "git-odb/refs";

/** A table of refs is never larger. */
const LIMIT = 256 * 1024 * 1024;

/** What refs there are, and where HEAD points. */
export interface RefTable {
  /** A ref name, which need not exist (an unborn branch), or an id (detached). */
  readonly head: string | undefined;
  readonly refs: ReadonlyMap<string, ObjectId>;
  /** What an annotated tag finally names, by the tag's ref. */
  readonly peeled: ReadonlyMap<string, ObjectId>;
  /** Undefined until a collection removes something for the first time. */
  readonly collection?: Collection;
}

/** What collections say to pushes: in the table, so that whoever replaces it has seen it. */
export interface Collection {
  /** Grows whenever a collection begins or ends to remove, so that a table before it is never one after it. */
  readonly epoch: number;
  /** Names of lists under `git-odb/gc/`: what the collections that go on now may remove at any moment. */
  readonly removing: readonly string[];
}

/** The table as it was read, with what is needed to replace exactly it. */
export interface RefsSnapshot {
  readonly table: RefTable;
  /** Of the object; undefined when it is not there, or its bucket gives no etags. */
  readonly etag: string | undefined;
  readonly exists: boolean;
}

/** One ref to move. */
export interface RefChange {
  readonly ref: string;
  /** `undefined` deletes it. */
  readonly oid: ObjectId | undefined;
  /** What an annotated tag names. */
  readonly peeled?: ObjectId;
}

/** A table without refs. */
export const noRefs: RefTable = { head: undefined, refs: new Map(), peeled: new Map() };

/** Reads the table: one GET. @throws OdbError integrity, when it is none */
export async function readRefs(bucket: Bucket, options?: CallOptions): Promise<RefsSnapshot> {
  const body = await bucket.read(refsKey, options);
  if (body === undefined) return { table: noRefs, etag: undefined, exists: false };
  const text = (await collect(body.content, LIMIT)).toString();
  return { table: parseRefs(text, `${bucket.name}/${refsKey}`), etag: body.entry.etag, exists: true };
}

/**
 * Replaces the table that was read.
 *
 * @param isSafe whether the bucket honours conditions; without, nothing stops two writers at the same time
 * @returns `written: false` when somebody else has replaced it since
 */
export async function replaceRefs(
  bucket: Bucket,
  snapshot: RefsSnapshot,
  table: RefTable,
  isSafe: boolean,
  options?: CallOptions,
): Promise<WriteOutcome> {
  const source = sourceOf(Buffer.from(formatRefs(table)));
  const how: WriteOptions = { ...options, contentType: "text/plain" };
  if (!isSafe) return await bucket.write(refsKey, source, how);
  if (!snapshot.exists) return await bucket.write(refsKey, source, { ...how, ifAbsent: true });
  if (snapshot.etag === undefined) {
    throw new OdbError("unsupported", `${bucket.name} gives no etag for ${refsKey}: it cannot be pushed to`);
  }
  return await bucket.write(refsKey, source, { ...how, ifMatch: snapshot.etag });
}

/** The table with these refs moved. */
export function withChanges(
  table: RefTable,
  changes: readonly RefChange[],
  head: string | undefined,
): RefTable {
  const refs = new Map(table.refs);
  const peeled = new Map(table.peeled);
  for (const { ref, oid, peeled: target } of changes) {
    peeled.delete(ref);
    if (oid === undefined) refs.delete(ref);
    else refs.set(ref, oid);
    if (oid !== undefined && target !== undefined) peeled.set(ref, target);
  }
  const sorted = new Map([...refs].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  return { ...table, head, refs: sorted, peeled };
}

/** Refs that cannot be there together: `refs/heads/a` is a folder of `refs/heads/a/b`. */
export function clashes({ refs }: RefTable): { readonly folder: string; readonly ref: string }[] {
  const found: { folder: string; ref: string }[] = [];
  for (const ref of refs.keys()) {
    for (let cut = ref.lastIndexOf("/"); cut > "refs".length; cut = ref.lastIndexOf("/", cut - 1)) {
      const folder = ref.slice(0, cut);
      if (refs.has(folder)) found.push({ folder, ref });
    }
  }
  return found;
}

/** The bytes of a table. */
export function formatRefs(table: RefTable): string {
  const { head = "refs/heads/main", collection } = table;
  const gc = collection ? `${["gc", collection.epoch, ...collection.removing].join(" ")}\n` : "";
  return `HEAD ${head}\n${gc}${formatInfoRefs(table)}`;
}

/** The lines of `info/refs`. */
export function formatInfoRefs({ refs, peeled }: RefTable): string {
  const lines: string[] = [];
  for (const [ref, oid] of refs) {
    lines.push(`${oid}\t${ref}\n`);
    const target = peeled.get(ref);
    if (target !== undefined) lines.push(`${target}\t${ref}^{}\n`);
  }
  return lines.join("");
}

/** @throws OdbError integrity, for anything that is no table; ids of two algorithms are none */
export function parseRefs(text: string, what: string): RefTable {
  const broken = (line: string) =>
    new OdbError("integrity", `${what} is damaged: ${JSON.stringify(line.slice(0, 120))}`);
  const [first = "", ...lines] = text.split("\n");
  const head = /^HEAD (\S+)$/.exec(first)?.[1];
  if (head === undefined || !(isObjectId(head) || isRefName(head))) throw broken(first);
  if (lines.pop() !== "") throw new OdbError("integrity", `${what} is cut off: its last line has no end`);
  const gc = /^gc ([1-9]\d{0,14})((?: [A-Za-z0-9.-]+)*)$/.exec(lines[0] ?? "");
  if (gc) lines.shift();
  const removing = gc?.[2]?.split(" ").slice(1) ?? [];
  const refs = new Map<string, ObjectId>();
  const peeled = new Map<string, ObjectId>();
  for (const line of lines) {
    const cut = line.indexOf("\t");
    const oid = line.slice(0, cut);
    const ref = line.slice(cut + 1);
    const base = ref.endsWith("^{}") ? ref.slice(0, -3) : ref;
    if (cut < 0 || !isObjectId(oid) || !isRefName(base)) throw broken(line);
    (base === ref ? refs : peeled).set(base, oid);
  }
  const lengths = new Set([...refs.values(), ...peeled.values()].map((oid) => oid.length));
  if (lengths.size > 1) throw new OdbError("integrity", `${what} is damaged: ids of two hash algorithms`);
  return { head, refs, peeled, ...(gc && { collection: { epoch: Number(gc[1]), removing } }) };
}

/** The algorithm of the ids; undefined while there are none. */
export function hashOf(table: RefTable): HashAlgorithm | undefined {
  for (const oid of table.refs.values()) return algorithmOf(oid);
  return undefined;
}

/** Whether git takes it as a full ref name: the rules of git-check-ref-format(1), `refs/` first. */
export function isRefName(name: string): boolean {
  if (!name.startsWith("refs/") || name.length > 1000) return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: git forbids exactly these
  if (/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\.$|\/$/.test(name)) return false;
  return !name.split("/").some((part) => part.startsWith(".") || part.endsWith(".lock"));
}
