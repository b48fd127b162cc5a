/** Whether a set of new objects is whole: what they refer to is among them, or in the mirror already. */

import { OdbError } from "../errors.js";
import { type HashAlgorithm, hexLength, type ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import type { Likeness } from "../pack/scan.js";
import type { KnownObjects } from "./known.js";

/** A type of which objects can refer to others. */
export type LinkingType = Exclude<ObjectType, "blob">;

/** Is shown where the bytes of an id begin; they are valid until it returns. */
export type LinkVisitor = (bytes: Buffer, at: number) => void;

/**
 * Shows all ids that an object refers to; those of submodules' commits are left out.
 *
 * @param nameOf gives the object's id for an error
 * @param likeness of a tree: what it has in common with one whose ids were shown before may be left out
 * @throws OdbError integrity, when it is malformed
 */
export function visitLinks(
  type: LinkingType,
  content: Buffer,
  hash: HashAlgorithm,
  visit: LinkVisitor,
  nameOf: () => string,
  likeness?: Likeness,
): void {
  const isWell =
    type === "tree"
      ? visitTree(content, hexLength[hash] / 2, visit, likeness)
      : visitHeader(type, content, hash, visit);
  if (!isWell) throw new OdbError("integrity", `object ${nameOf()} is no well-formed ${type}`);
}

/** An entry: mode, space, name, NUL, id (gitformat-pack(5) has the rest). */
function visitTree(
  content: Buffer,
  width: number,
  visit: LinkVisitor,
  { base, copied }: Likeness = { base: content, copied: [] },
): boolean {
  let run = 0;
  // The beginning of an entry of the base: its entries are walked along with those of the tree.
  let inBase = 0;
  for (let at = 0, end = 0; at < content.length; at = end) {
    end = entryEnd(content, at, width);
    if (end < 0) return false;
    while ((copied[run]?.end ?? Number.POSITIVE_INFINITY) <= at) run++;
    const { start = Number.POSITIVE_INFINITY, end: runEnd = 0, from = 0 } = copied[run] ?? {};
    const isCopied = start <= at && end <= runEnd;
    if (isCopied) {
      const original = from + at - start;
      while (inBase >= 0 && inBase < original) inBase = entryEnd(base, inBase, width);
      if (inBase === original) {
        // The same entry: what begins where an entry does, and is the same, ends where it does.
        inBase += end - at;
        continue;
      }
    }
    if (!isSubmodule(content, at)) visit(content, end - width);
  }
  return true;
}

/** Where the entry ends that begins at `at`, or a negative number when it does not. */
function entryEnd(tree: Buffer, at: number, width: number): number {
  const end = tree.indexOf(0, at) + 1 + width;
  return end > at + 1 + width && end <= tree.length ? end : -1;
}

/** Mode 160000 is a submodule: its commit is another repository's. */
function isSubmodule(tree: Buffer, at: number): boolean {
  return tree[at] === 0x31 && tree[at + 1] === 0x36 && tree.toString("latin1", at, at + 7) === "160000 ";
}

/** A commit begins with its tree and its parents, a tag with its object. */
function visitHeader(
  type: "commit" | "tag",
  content: Buffer,
  hash: HashAlgorithm,
  visit: LinkVisitor,
): boolean {
  const first = type === "commit" ? "tree " : "object ";
  let at = visitLine(content, 0, first, hash, visit);
  if (at === undefined) return false;
  while (type === "commit" && content.toString("latin1", at, at + PARENT.length) === PARENT) {
    at = visitLine(content, at, PARENT, hash, visit);
    if (at === undefined) return false;
  }
  return true;
}

const PARENT = "parent ";

/** @returns where the next line begins, or undefined when it is no such line */
function visitLine(
  content: Buffer,
  at: number,
  word: string,
  hash: HashAlgorithm,
  visit: LinkVisitor,
): number | undefined {
  const start = at + word.length;
  const end = start + hexLength[hash];
  if (content.toString("latin1", at, start) !== word || content[end] !== 0x0a) return undefined;
  const bytes = Buffer.from(content.toString("latin1", start, end), "hex");
  if (bytes.length !== hexLength[hash] / 2) return undefined;
  visit(bytes, 0);
  return end + 1;
}

/** Links that lead out of a pack, gathered to be looked up once each. */
export class OpenLinks {
  readonly #outside = new Map<ObjectId, string>();

  /** @param from names who refers to it */
  add(oid: ObjectId, from: string): void {
    if (!this.#outside.has(oid)) this.#outside.set(oid, from);
  }

  /** What was added, in order of the ids: so they lie in an index. */
  *sorted(): Iterable<{ oid: ObjectId; from: string }> {
    for (const oid of [...this.#outside.keys()].sort()) yield { oid, from: this.#outside.get(oid) ?? "" };
  }
}

/**
 * Looks all of them up, a few at a time.
 *
 * @param links best in order of the ids
 * @throws OdbError integrity, naming the first that is nowhere
 */
export async function checkLinks(
  links: Iterable<{ readonly oid: ObjectId; readonly from: string }>,
  known: KnownObjects | undefined,
  what: string,
): Promise<void> {
  const queue = links[Symbol.iterator]();
  const worker = async () => {
    for (let step = queue.next(); !step.done; step = queue.next()) {
      const { oid, from } = step.value;
      if (await known?.has(oid)) continue;
      throw new OdbError("integrity", `${what}: object ${oid} is missing, which ${from} refers to`);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}

const WIDTH = 16;
