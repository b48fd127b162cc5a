/** Which packs a bucket holds: by listing it, else by `objects/info/packs` (gitrepository-layout(5)). */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";

const LIMIT = 16 * 1024 * 1024;

const namePattern = /^pack-(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * The packs' names without folder and extension: `pack-<hex>`.
 *
 * @throws OdbError as the bucket does; a bucket that cannot list is asked for its table
 */
export async function packNames(bucket: Bucket, options?: CallOptions): Promise<string[]> {
  try {
    return await listed(bucket, options);
  } catch (error) {
    if (!(error instanceof OdbError) || error.code !== "unsupported") throw error;
    return await tabled(bucket, options);
  }
}

async function listed(bucket: Bucket, options?: CallOptions): Promise<string[]> {
  const names: string[] = [];
  for await (const { key } of bucket.list("objects/pack/", options)) {
    const name = /^objects\/pack\/(.*)\.pack$/.exec(key)?.[1];
    if (name !== undefined && namePattern.test(name)) names.push(name);
  }
  return names;
}

/** Lines `P pack-<hex>.pack`; others are for later versions of git. */
async function tabled(bucket: Bucket, options?: CallOptions): Promise<string[]> {
  const body = await bucket.read("objects/info/packs", { ...options, range: { start: 0, end: LIMIT } });
  if (body === undefined) return [];
  const lines = (await collect(body.content, LIMIT)).toString("latin1").split("\n");
  return lines.map((line) => /^P (.*)\.pack$/.exec(line)?.[1] ?? "").filter((name) => namePattern.test(name));
}
