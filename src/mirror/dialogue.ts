/** What the versions of the fetch protocol have in common. */

import { OdbError } from "../errors.js";
import { type HashAlgorithm, isObjectId, type ObjectId } from "../object/id.js";
import { type Head, isRefName, type Ref, type RefTable } from "./refs.js";

/** What the protocol's two versions have in common once the refs are known. */
export interface Dialogue {
  readonly hash: HashAlgorithm;
  readonly table: RefTable;
  /** Asks for a pack, and reads the answer as far as that. */
  ask(request: PackRequest): Promise<void>;
}

/** What a pack is to hold. */
export interface PackRequest {
  readonly wants: Iterable<ObjectId>;
  /** What we have, and all that it needs. */
  readonly haves: Iterable<ObjectId>;
  /** What those of our objects stand on that the source has not: it may have that. */
  below(unknown: Iterable<ObjectId>): AsyncIterable<ObjectId>;
  /** Whether bases of its deltas may be among what the `haves` reach, and not in it. */
  readonly thin: boolean;
}

/** Refs more than this are not believed: 2^24 of them are 1.5 GiB. */
const REFS_LIMIT = 1 << 24;

/** @throws OdbError unsupported */
export function parseFormat(value: string, name: string): HashAlgorithm {
  if (value === "sha1" || value === "sha256") return value;
  throw new OdbError("unsupported", `${name}: its object format is ${JSON.stringify(value)}`);
}

/** A symbolic HEAD needs no object of its own: its ref has it. */
export function headOf(oid: string, symref: string | undefined): Head {
  if (symref !== undefined && isRefName(symref)) return { symref };
  return isObjectId(oid) ? { oid } : {};
}

/** @throws OdbError protocol, when it cannot be one */
export function addRef(
  refs: Ref[],
  oid: string,
  ref: string,
  peeled: string | undefined,
  name: string,
): void {
  if (!isObjectId(oid) || !isRefName(ref) || (peeled !== undefined && !isObjectId(peeled))) {
    throw new OdbError("protocol", `${name}: ${JSON.stringify(`${oid} ${ref}`.slice(0, 160))} is no ref`);
  }
  if (refs.length >= REFS_LIMIT) throw new OdbError("protocol", `${name}: more than ${REFS_LIMIT} refs`);
  refs.push({ name: ref, oid, ...(peeled !== undefined && { peeled }) });
}

/** The reason why a shallow source is refused. */
export function shallowSource(name: string): OdbError {
  return new OdbError(
    "unsupported",
    `${name} is a shallow repository, without the history before its grafts: mirror what it was cloned from, or "git fetch --unshallow" there first`,
  );
}

/** An answer that stops. */
export function endedEarly(name: string): OdbError {
  return new OdbError("unavailable", `${name}: the source ended its answer early`);
}
