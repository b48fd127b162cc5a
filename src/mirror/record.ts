/** `git-odb/mirror`: of what repository a bucket is the mirror, and what of it is only kept for late readers. */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";

/** The key of the record. */
export const recordKey = "git-odb/mirror";

/** How objects lie in a mirror. */
export type MirrorLayout = "packs" | "loose";

/** Names of packs, each with the time (ISO 8601) since when. */
export type Since = Readonly<Record<string, string>>;

/** What the record says. */
export interface MirrorRecord {
  /** The source's URL, without a password. */
  readonly source: string;
  readonly layout: MirrorLayout;
  readonly hash: HashAlgorithm;
  /** SHA-256 of the `info/refs` published last; "" before the first time. */
  readonly refs: string;
  /** Packs whose objects all lie in a newer one: listed until no reader of an older table can be left. */
  readonly superseded: Since;
  /** Packs that no table names any more, to be removed; `tmp/` for whatever is there of other runs, or of killed ones. */
  readonly unlisted: Since;
}

/** What stands in {@link MirrorRecord.refs}. */
export function digestOf(infoRefs: Uint8Array): string {
  return createHash("sha256").update(infoRefs).digest("hex");
}

export function formatRecord(record: MirrorRecord): Buffer {
  return Buffer.from(`${JSON.stringify({ version: 1, ...record }, undefined, 1)}\n`);
}

/** @throws OdbError config, when it is not ours to understand */
export function parseRecord(bytes: Buffer, where: string): MirrorRecord {
  const { version, source, layout, hash, refs, superseded, unlisted } = parseJson(bytes, where);
  const known =
    version === 1 &&
    typeof source === "string" &&
    (layout === "packs" || layout === "loose") &&
    (hash === "sha1" || hash === "sha256") &&
    typeof refs === "string" &&
    isSince(superseded) &&
    isSince(unlisted);
  if (known) return { source, layout, hash, refs, superseded, unlisted };
  throw new OdbError("config", `${where} is no record of a mirror that this git-odb understands`);
}

function isSince(value: unknown): value is Since {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every((time) => typeof time === "string" && !Number.isNaN(Date.parse(time)));
}

function parseJson(bytes: Buffer, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new OdbError("config", `${where} is no JSON object`);
}
