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

/** As the tables of refs elsewhere: no header is larger, and no line of it. In bytes. */
const HEADER_LIMIT = 256 * 1024 * 1024;
const LINE_LIMIT = 64 * 1024;

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
  const pieces: Buffer[] = [];
  let size = 0;
  let lineStart = 0;
  for await (const chunk of content) {
    const piece = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    pieces.push(piece);
    for (let at = piece.indexOf(LF); at >= 0; at = piece.indexOf(LF, at + 1)) {
      const length = size + at - lineStart;
      if (length === 0) {
        const text = Buffer.concat(pieces).toString("utf8", 0, Math.max(0, lineStart - 1));
        return { header: parseBundleHeader(text, what), packStart: lineStart + 1 };
      }
      if (length > LINE_LIMIT) break;
      if (lineStart === 0) checkSignature(Buffer.concat(pieces), what);
      lineStart = size + at + 1;
    }
    size += piece.length;
    if (size - lineStart > LINE_LIMIT) throw noBundle(what, `a line of more than ${LINE_LIMIT} bytes`);
    if (size > HEADER_LIMIT) throw noBundle(what, `a header of more than ${HEADER_LIMIT} bytes`);
  }
  throw noBundle(what, "its header has no end");
}

const LF = 10;

function checkSignature(text: Buffer, what: string): void {
  if (text.toString("latin1", 0, 3) !== "# v") throw noBundle(what);
}

function noBundle(what: string, why?: string): OdbError {
  return new OdbError("integrity", `${what}: this is no git bundle${why === undefined ? "" : ` (${why})`}`);
}

function parseBundleHeader(text: string, what: string): BundleHeader {
  const [signature = "", ...lines] = text.split("\n");
  const version = /^# v([0-9]+) git bundle$/.exec(signature)?.[1];
  if (version === undefined) throw noBundle(what);
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
