/** Pointer files of git-lfs: what they say, and where their objects lie in a mirror (git-lfs docs/spec.md). */

/** What a pointer stands for. */
export interface LfsObject {
  /** SHA-256 in hex. */
  readonly oid: string;
  /** In bytes. */
  readonly size: number;
}

/** A pointer is smaller than this, in bytes. */
export const POINTER_LIMIT = 1024;

/** Nor is it smaller: the shortest version, an oid and a size of one digit. */
export const POINTER_LEAST = 120;

const versionLine = /^version https:\/\/(?:git-lfs\.github\.com|hawser\.github\.com)\/spec\/v1\n/;

/** @returns undefined when the blob is no pointer */
export function parsePointer(blob: Buffer): LfsObject | undefined {
  if (blob.length >= POINTER_LIMIT || blob.length < POINTER_LEAST || blob[0] !== 0x76) return undefined;
  const text = blob.toString("latin1");
  if (!versionLine.test(text)) return undefined;
  const oid = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1];
  const size = Number(/^size (\d{1,16})$/m.exec(text)?.[1] ?? Number.NaN);
  // An empty file has a pointer too, to nothing that has to be kept.
  return oid !== undefined && Number.isSafeInteger(size) && size > 0 ? { oid, size } : undefined;
}

/** `lfs/objects/<aa>/<bb>/<oid>`, as in a repository of git-lfs. */
export function lfsKey(oid: string): string {
  return `lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
}
