/** Whether a set of new objects is whole: what they refer to is among them, or in the mirror already. */

import { OdbError } from "../errors.js";
import { type HashAlgorithm, hexLength, isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectType } from "../object/info.js";
import type { KnownObjects } from "./known.js";

/** A type of which objects can refer to others. */
export type LinkingType = Exclude<ObjectType, "blob">;

/** The ids that an object refers to; those of submodules' commits are left out. @throws OdbError integrity */
export function* linksOf(
  type: LinkingType,
  content: Buffer,
  hash: HashAlgorithm,
  oid: string,
): Iterable<ObjectId> {
  if (type === "tree") yield* treeLinks(content, hexLength[hash] / 2, oid);
  else yield* headerLinks(content, type === "commit" ? /^(?:tree|parent) (.*)$/ : /^object (.*)$/, oid);
}

function* treeLinks(content: Buffer, width: number, oid: string): Iterable<ObjectId> {
  for (let at = 0; at < content.length; ) {
    const end = content.indexOf(0, at);
    if (end < 0 || end + 1 + width > content.length) throw malformed("tree", oid);
    // Mode 160000 is a submodule: its commit is another repository's.
    const isCommit = content.toString("latin1", at, at + 7) === "160000 ";
    at = end + 1 + width;
    if (!isCommit) yield content.toString("hex", end + 1, at) as ObjectId;
  }
}

function* headerLinks(content: Buffer, pattern: RegExp, oid: string): Iterable<ObjectId> {
  const end = content.indexOf("\n\n");
  const lines = content.toString("latin1", 0, end < 0 ? content.length : end).split("\n");
  for (const line of lines) {
    const link = pattern.exec(line)?.[1];
    if (link === undefined) continue;
    if (!isObjectId(link)) throw malformed("commit or tag", oid);
    yield link;
  }
}

/** Links that lead out of a pack, gathered to be looked up once each. */
export class OpenLinks {
  readonly #outside = new Map<ObjectId, string>();

  /** @param from names who refers to it */
  add(oid: ObjectId, from: string): void {
    if (!this.#outside.has(oid)) this.#outside.set(oid, from);
  }

  /**
   * Looks up all that is not in `inside`, a few at a time.
   *
   * @throws OdbError integrity, naming the first that is nowhere
   */
  async check(inside: (oid: ObjectId) => boolean, known: KnownObjects, what: string): Promise<void> {
    const queue = [...this.#outside.keys()]
      .filter((oid) => !inside(oid))
      .sort()
      .values();
    const worker = async () => {
      for (const oid of queue) {
        if (await known.has(oid)) continue;
        const from = this.#outside.get(oid);
        throw new OdbError("integrity", `${what}: object ${oid} is missing, which ${from} refers to`);
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, worker));
  }
}

const WIDTH = 16;

function malformed(type: string, oid: string): OdbError {
  return new OdbError("integrity", `object ${oid} is no well-formed ${type}`);
}
