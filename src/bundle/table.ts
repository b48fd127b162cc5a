/** `bundles.json`: the table of contents that lists a chain of bundles, oldest first. */

import { OdbError } from "../errors.js";

/** One bundle of a table. */
export interface BundleEntry {
  /** Absolute http(s) URL. */
  readonly uri: string;
  /** When it was made, in seconds since 1970; each bundle of a chain has a later one than the bundle before it. */
  readonly timestamp?: number;
  /** The `uri` of the bundle that must be there before this one; absent for the first. */
  readonly requires?: string;
  /** In bytes. */
  readonly size?: number;
  /** Of the whole file, in hex. */
  readonly sha256?: string;
  /** The object filter it was made with (`blob:none`). */
  readonly filter?: string;
}

/** A table, in either form. */
export interface BundleTable {
  /** `json`: bundles.json; `list`: git's own bundle list. */
  readonly form: "json" | "list";
  /** Whether all bundles of the table are to be had, or any one of them will do. */
  readonly mode: "all" | "any";
  /** Oldest first, those without a timestamp as they stand. */
  readonly bundles: readonly BundleEntry[];
}

/** No table is larger, in bytes. */
export const TABLE_LIMIT = 16 * 1024 * 1024;

/** The bytes of `bundles.json`. */
export function formatTable(bundles: readonly BundleEntry[]): Buffer {
  const rows = bundles.map(({ uri, timestamp, requires, size, sha256, filter }) =>
    JSON.stringify({ uri, timestamp, requires, size, sha256, filter }),
  );
  return Buffer.from(rows.length === 0 ? "[]\n" : `[\n${rows.join(",\n")}\n]\n`);
}

/**
 * Reads `bundles.json`: a JSON list of `{uri, timestamp, requires, size, sha256, filter}`, of which only `uri` must be
 * there; what else an entry has is passed over.
 *
 * @param what names the table in errors
 * @throws OdbError config, when it is no such list, an URI is not absolute http(s), or `requires` names what is not
 *   in the table or goes round in a circle
 */
export function parseTable(text: string, what: string): BundleTable {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new OdbError("config", `${what}: not JSON, and no bundle list of git either`, { cause: error });
  }
  if (!Array.isArray(json)) throw new OdbError("config", `${what}: expected a JSON list of bundles`);
  const bundles = json.map((row, n) => parseEntry(row, `${what}: bundle ${n + 1}`));
  return checkedTable({ form: "json", mode: "all", bundles }, what);
}

/**
 * Sorts the bundles by age and checks how they hang together.
 *
 * @throws OdbError config, as {@link parseTable}
 */
export function checkedTable(table: BundleTable, what: string): BundleTable {
  const byUri = new Map(table.bundles.map((entry) => [entry.uri, entry]));
  if (byUri.size < table.bundles.length) throw new OdbError("config", `${what}: it lists a bundle twice`);
  const whole = new Set<string>();
  for (const entry of table.bundles) checkRequires(entry, byUri, whole, what);
  const age = ({ timestamp = 0 }: BundleEntry) => timestamp;
  return { ...table, bundles: table.bundles.toSorted((a, b) => age(a) - age(b)) };
}

/** @throws OdbError config, unless `uri` is an absolute http(s) URL without a credential in it */
export function checkBundleUri(uri: string, what: string): string {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const shown = JSON.stringify(uri.length > 200 ? `${uri.slice(0, 200)}…` : uri);
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new OdbError("config", `${what}: ${shown} is no absolute http:// or https:// URL`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new OdbError("config", `${what}: the URL of a bundle on ${url.host} holds a credential`);
  }
  if (/[\p{Cc}\s]/u.test(uri))
    throw new OdbError("config", `${what}: ${shown} has a space or control character`);
  return uri;
}

function parseEntry(row: unknown, what: string): BundleEntry {
  if (typeof row !== "object" || row === null) throw new OdbError("config", `${what}: it is no JSON object`);
  const { uri, timestamp, requires, size, sha256, filter } = row as Record<string, unknown>;
  if (typeof uri !== "string") throw new OdbError("config", `${what}: it has no uri`);
  return {
    uri: checkBundleUri(uri, what),
    ...(isGiven(timestamp) && { timestamp: parseCount(timestamp, "timestamp", what) }),
    ...(isGiven(requires) && { requires: parseText(requires, /^/, "requires", what) }),
    ...(isGiven(size) && { size: parseCount(size, "size", what) }),
    ...(isGiven(sha256) && { sha256: parseText(sha256, /^[0-9a-f]{64}$/, "sha256", what) }),
    ...(isGiven(filter) && { filter: parseText(filter, /^/, "filter", what) }),
  };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

/** A whole number; other writers of such tables put it in quotes. */
function parseCount(value: unknown, name: string, what: string): number {
  const number = typeof value === "string" && /^[0-9]{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
  throw new OdbError("config", `${what}: its ${name} is no whole number`);
}

function parseText(value: unknown, pattern: RegExp, name: string, what: string): string {
  if (typeof value === "string" && pattern.test(value)) return value;
  throw new OdbError("config", `${what}: its ${name} is not what it should be`);
}

/** Walks from `entry` to its first ancestor. `whole` holds those known to lead there, and grows. */
function checkRequires(
  entry: BundleEntry,
  byUri: ReadonlyMap<string, BundleEntry>,
  whole: Set<string>,
  what: string,
): void {
  const path = new Set<string>();
  for (let at = entry; !whole.has(at.uri); ) {
    if (path.has(at.uri)) {
      throw new OdbError("config", `${what}: the bundles require each other in a circle (${at.uri})`);
    }
    path.add(at.uri);
    if (at.requires === undefined) break;
    const below = byUri.get(at.requires);
    if (below === undefined) {
      throw new OdbError("config", `${what}: ${at.uri} requires ${at.requires}, which is not in the table`);
    }
    at = below;
  }
  for (const uri of path) whole.add(uri);
}
