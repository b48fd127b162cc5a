/**
 * `git-odb/gc/<time>`: what a run of `git odb gc --store` found that no ref needs. A later run removes it, unless a
 * push has written it again meanwhile. `git-odb/gc/<time>.removing`: what a run that goes on may remove (removal.ts).
 */

import { randomBytes } from "node:crypto";
import type { Bucket, CallOptions, Entry } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect, sourceOf } from "../object/content.js";

/** Where the lists are. */
export const gcPrefix = "git-odb/gc/";

/** Default of `--grace`, in milliseconds: 14 days. */
export const GRACE_MS = 14 * 24 * 3600 * 1000;

/** How the names of the lists end that say what may be removed now. */
export const REMOVING = ".removing";

/** A list is never larger. */
const LIMIT = 256 * 1024 * 1024;

/** One run's findings. */
export interface GcList {
  readonly key: string;
  /** When it was written, by the bucket's clock where it tells. */
  readonly time: Date;
  /** The grace period of the run that wrote it. */
  readonly graceMs: number;
  /** Keys, each with its {@link versionOf} then. */
  readonly candidates: ReadonlyMap<string, string>;
}

/** What changes when a key is written again, even with the same bytes: its time, else its etag. */
export function versionOf({ modified, etag }: Pick<Entry, "modified" | "etag">): string {
  return modified === undefined ? `etag ${etag ?? ""}` : `time ${modified.getTime()}`;
}

/** Every list of what was found, oldest first. */
export async function readGcLists(bucket: Bucket, options?: CallOptions): Promise<GcList[]> {
  const lists: GcList[] = [];
  for await (const { key } of bucket.list(gcPrefix, options)) {
    const list = key.endsWith(REMOVING) ? undefined : await readGcList(bucket, key, options);
    if (list !== undefined) lists.push(list);
  }
  return lists;
}

/** One list. @returns undefined when it has gone */
export async function readGcList(
  bucket: Bucket,
  key: string,
  options?: CallOptions,
): Promise<GcList | undefined> {
  const body = await bucket.read(key, options);
  if (body === undefined) return undefined;
  const text = (await collect(body.content, LIMIT)).toString();
  const list = parse(text, `${bucket.name}/${key}`);
  return { ...list, key, time: body.entry.modified ?? list.time };
}

/** Writes a list. @returns its key, which no other list ever has */
export async function writeGcList(
  bucket: Bucket,
  entries: readonly Entry[],
  { graceMs, removing }: { readonly graceMs: number; readonly removing: boolean },
  options?: CallOptions,
): Promise<string> {
  const time = new Date().toISOString();
  const unique = `${time.replaceAll(/[-:]/g, "")}-${randomBytes(4).toString("hex")}`;
  const key = gcPrefix + unique + (removing ? REMOVING : "");
  const head = { version: 1, time, graceMs };
  const lines = entries.map((entry) => JSON.stringify([entry.key, versionOf(entry)]));
  const text = `${[JSON.stringify(head), ...lines].join("\n")}\n`;
  await bucket.write(key, sourceOf(Buffer.from(text)), { ...options, contentType: "application/json" });
  return key;
}

function parse(text: string, what: string): Omit<GcList, "key"> {
  const [first = "", ...lines] = text.split("\n");
  try {
    const { version, time, graceMs } = JSON.parse(first) as Record<string, unknown>;
    if (version !== 1 || typeof time !== "string" || typeof graceMs !== "number")
      throw new SyntaxError("head");
    const candidates = new Map<string, string>();
    for (const line of lines.filter((each) => each !== "")) {
      const [key, seen] = JSON.parse(line) as unknown[];
      if (typeof key !== "string" || typeof seen !== "string") throw new SyntaxError("line");
      candidates.set(key, seen);
    }
    return { time: new Date(time), graceMs, candidates };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new OdbError(
      "integrity",
      `${what} is no list of this version of git-odb: remove it, or use a newer one`,
    );
  }
}
