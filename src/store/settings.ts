/** `git-odb.json`: what a bucket that we initialised holds, and how. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect, sourceOf } from "../object/content.js";
import type { HashAlgorithm } from "../object/id.js";

/** How objects lie in a bucket. */
export type Layout = "raw" | "loose";

/**
 * What {@link settingsKey} says. `kind`: a `store` may be shared by any number of repositories, so nothing in
 * it is ever collected; a `repository` is one repository with its refs.
 */
export interface BucketSettings {
  readonly layout: Layout;
  readonly hash: HashAlgorithm;
  readonly kind: "store" | "repository";
}

/** The key of the settings. */
export const settingsKey = "git-odb.json";

/** A JSON table is never larger. */
const LIMIT = 64 * 1024;

/**
 * Reads the settings of a bucket.
 *
 * @returns undefined when we have not initialised it
 * @throws OdbError config, when they are not ours to understand
 */
export async function readSettings(
  bucket: Bucket,
  options?: CallOptions,
): Promise<BucketSettings | undefined> {
  const body = await bucket.read(settingsKey, { ...options, range: { start: 0, end: LIMIT } });
  if (body === undefined) return undefined;
  return parseSettings((await collect(body.content, LIMIT)).toString(), bucket.name);
}

/**
 * Makes `bucket` hold objects as `settings` say. Doing it again with the same settings changes nothing.
 *
 * @throws OdbError conflict, when the bucket is initialised otherwise, or holds a bare repository that these
 *   settings would hide
 */
export async function initBucket(
  bucket: Bucket,
  settings: BucketSettings,
  options?: CallOptions,
): Promise<void> {
  await bucket.create?.(options);
  const found = await readSettings(bucket, options);
  if (found !== undefined) return checkSame(found, settings, bucket.name);
  if (settings.layout === "raw" && (await isBareRepository(bucket, options))) {
    throw new OdbError("conflict", `${bucket.name} is a git repository already: use layout=loose`);
  }
  const { layout, hash, kind } = settings;
  const text = `${JSON.stringify({ version: 1, layout, hash, kind })}\n`;
  const ifAbsent = await bucket.conditionalWrites(options);
  const contentType = "application/json";
  const outcome = await bucket.write(settingsKey, sourceOf(Buffer.from(text)), {
    ...options,
    contentType,
    ifAbsent,
  });
  if (outcome.written) return;
  const winner = await readSettings(bucket, options);
  if (winner !== undefined) checkSame(winner, settings, bucket.name);
}

/** Whether the bucket holds what `git init --bare` makes: its HEAD says so. */
export async function isBareRepository(bucket: Bucket, options?: CallOptions): Promise<boolean> {
  const body = await bucket.read("HEAD", { ...options, range: { start: 0, end: 4096 } });
  if (body === undefined) return false;
  const head = (await collect(body.content, 4096)).toString("latin1");
  return /^(?:ref: refs\/\S+|[0-9a-f]{40}|[0-9a-f]{64})\n?$/.test(head);
}

function parseSettings(text: string, name: string): BucketSettings {
  const where = `${name}/${settingsKey}`;
  const { version, layout, hash, kind } = parseJson(text, where);
  if (version !== 1) {
    throw new OdbError(
      "config",
      `${where}: version ${JSON.stringify(version)}; this git-odb knows version 1`,
    );
  }
  if (layout !== "raw" && layout !== "loose") throw unknown(where, "layout", layout);
  if (hash !== "sha1" && hash !== "sha256") throw unknown(where, "hash", hash);
  if (kind !== "store" && kind !== "repository") throw unknown(where, "kind", kind);
  return { layout, hash, kind };
}

function parseJson(text: string, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new OdbError("config", `${where} is no JSON object: is this URL a git-odb bucket?`);
}

function unknown(where: string, field: string, value: unknown): OdbError {
  return new OdbError("config", `${where}: unknown ${field} ${JSON.stringify(value)}`);
}

function checkSame(found: BucketSettings, wanted: BucketSettings, name: string): void {
  for (const field of ["layout", "hash", "kind"] as const) {
    if (found[field] === wanted[field]) continue;
    throw new OdbError(
      "conflict",
      `${name} is initialised already, with ${field} ${found[field]}, not ${wanted[field]}`,
    );
  }
}
