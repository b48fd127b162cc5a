/** Object ids as git writes them: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits. */

import { OdbError } from "../errors.js";

declare const brand: unique symbol;

/** A well-formed object id. Made by {@link parseObjectId} only. */
export type ObjectId = string & { readonly [brand]: "ObjectId" };

/** The hash function of a repository, by git's names (`extensions.objectFormat`). */
export type HashAlgorithm = "sha1" | "sha256";

/** Hex digits of an id, by algorithm. */
export const hexLength: Readonly<Record<HashAlgorithm, number>> = { sha1: 40, sha256: 64 };

const pattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Whether `text` is an object id (lower case, whole). */
export function isObjectId(text: string): text is ObjectId {
  return pattern.test(text);
}

/** @throws OdbError invalid, when `text` is no object id */
export function parseObjectId(text: string): ObjectId {
  if (isObjectId(text)) return text;
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  throw new OdbError("invalid", `${shown} is no object id: expected 40 or 64 lower-case hex digits`);
}

/** The algorithm that makes ids of this length. */
export function algorithmOf(oid: ObjectId): HashAlgorithm {
  return oid.length === hexLength.sha1 ? "sha1" : "sha256";
}
