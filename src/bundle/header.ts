/** The text in front of a bundle's pack: what it needs, what it brings (gitformat-bundle(5), versions 2 and 3). */

import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { algorithmOf, type HashAlgorithm, isObjectId, type ObjectId } from "../object/id.js";

/** What a bundle says of itself. */
export interface BundleHeader {
  readonly hash: HashAlgorithm;
  /** The object filter it was made with: blobs are missing from its pack. */
  readonly filter?: string;
  /** Commits that must be there, whole, before it can be used. */
  readonly prerequisites: readonly ObjectId[];
  /** Ref names (`refs/heads/main`, `HEAD`) and what they are. */
  readonly refs: ReadonlyMap<string, ObjectId>;
}

/** As the tables of refs elsewhere: no header is larger. In bytes. */
const HEADER_LIMIT = 256 * 1024 * 1024;

/** The bytes of a header, its empty line included. Version 2, which every git reads, where it can say it. */
export function formatBundleHeader({ hash, filter, prerequisites, refs }: BundleHeader): Buffer {
  const lines = [];
  if (hash === "sha1" && filter === undefined) lines.push("# v2 git bundle");
  else lines.push("# v3 git bundle", `@object-format=${hash}`);
  if (filter !== undefined) lines.push(`@filter=${filter}`);
  // git wants a space after the id; a comment may follow.
  for (const oid of prerequisites) lines.push(`-${oid} `);
  for (const [ref, oid] of refs) lines.push(`${oid} ${ref}`);
  return Buffer.from(`${lines.join("\n")}\n\n`);
}

/**
 * Reads a header from the beginning of a bundle, and no more of it than that takes.
 *
 * @returns the header, and where the pack begins, in bytes
 * @throws OdbError integrity, when it is no bundle; unsupported, when it needs what we do not know
 */
export async function readBundleHeader(
  content: Content,
  what: string,
): Promise<{ header: BundleHeader; packStart: number }> {
  let text: Buffer = Buffer.alloc(0);
  let searched = 0;
  for await (const chunk of content) {
    text = Buffer.concat([text, chunk]);
    if (!text.subarray(0, 3).equals(SIGNATURE.subarray(0, Math.min(3, text.length)))) break;
    const end = text.indexOf("\n\n", searched);
    if (end >= 0) {
      return { header: parseBundleHeader(text.subarray(0, end).toString(), what), packStart: end + 2 };
    }
    searched = Math.max(0, text.length - 1);
    if (text.length > HEADER_LIMIT) break;
  }
  throw new OdbError("integrity", `${what}: this is no git bundle`);
}

const SIGNATURE = Buffer.from("# v");

function parseBundleHeader(text: string, what: string): BundleHeader {
  const [signature = "", ...lines] = text.split("\n");
  const version = /^# v([0-9]+) git bundle$/.exec(signature)?.[1];
  if (version === undefined) throw new OdbError("integrity", `${what}: this is no git bundle`);
  if (version !== "2" && version !== "3") {
    throw new OdbError("unsupported", `${what}: bundles of version ${version} are not known here`);
  }
  const capabilities = new Map<string, string>();
  const prerequisites: ObjectId[] = [];
  const refs = new Map<string, ObjectId>();
  for (const line of lines) {
    if (line.startsWith("@")) addCapability(capabilities, line, what);
    else if (line.startsWith("-")) prerequisites.push(parseOid(line.slice(1), what));
    else refs.set(line.slice(line.indexOf(" ") + 1), parseOid(line, what));
  }
  const hash = capabilities.get("object-format") ?? "sha1";
  if (hash !== "sha1" && hash !== "sha256") {
    throw new OdbError("unsupported", `${what}: its object format ${JSON.stringify(hash)} is not known here`);
  }
  const wrong = [...prerequisites, ...refs.values()].find((oid) => algorithmOf(oid) !== hash);
  if (wrong !== undefined) throw new OdbError("integrity", `${what}: ${wrong} is no ${hash} object id`);
  const filter = capabilities.get("filter");
  return { hash, prerequisites, refs, ...(filter !== undefined && { filter }) };
}

function addCapability(capabilities: Map<string, string>, line: string, what: string): void {
  const [, key = "", value = ""] = /^@([^=]*)=?(.*)$/.exec(line) ?? [];
  // gitformat-bundle(5): a reader that does not know a capability must give up.
  if (key !== "object-format" && key !== "filter") {
    throw new OdbError("unsupported", `${what}: it needs ${JSON.stringify(key)}, which is not known here`);
  }
  capabilities.set(key, value);
}

function parseOid(line: string, what: string): ObjectId {
  const oid = line.split(" ", 1)[0] ?? "";
  if (isObjectId(oid)) return oid;
  throw new OdbError("integrity", `${what}: its header has a line that is none of git's`);
}
