/** Which packs a bucket holds: by listing it, else by `objects/info/packs` (gitrepository-layout(5)). */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import { inParallel } from "./parallel.js";

/** A pack of the bucket with its index. */
export interface BucketPack {
  /** `pack-<hex>`: without folder and extension. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Of the index, in bytes. */
  readonly indexSize: number;
  /** Blobs may have been left out of it: they are objects of the bucket of their own. */
  readonly promisor: boolean;
  /** When it was last written, by the bucket's clock, where a listing tells. */
  readonly modified?: Date;
}

const TABLE_LIMIT = 16 * 1024 * 1024;

/** Packs asked for one by one, where the bucket cannot list. */
const CONCURRENCY = 8;

const namePattern = /^pack-(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Whether this can be the name of a pack, and so of a file. */
export function isPackName(name: string): boolean {
  return namePattern.test(name);
}

/** `objects/pack/<name>.<extension>`. */
export function packKey(name: string, extension: "pack" | "idx" | "promisor"): string {
  return `objects/pack/${name}.${extension}`;
}

/**
 * Every pack that has its index, so that it can be relied on: by one listing, else by `objects/info/packs`.
 *
 * @param known what an earlier call has said: it is not asked again where each pack has to be asked for
 * @throws OdbError as the bucket does
 */
export async function listPacks(
  bucket: Bucket,
  options?: CallOptions,
  known: (name: string) => BucketPack | undefined = () => undefined,
): Promise<BucketPack[]> {
  try {
    return await listed(bucket, options);
  } catch (error) {
    if (!(error instanceof OdbError) || error.code !== "unsupported") throw error;
    return await asked(bucket, options, known);
  }
}

async function listed(bucket: Bucket, options?: CallOptions): Promise<BucketPack[]> {
  const files = new Map<string, { size: number; modified?: Date | undefined }>();
  for await (const { key, size, modified } of bucket.list("objects/pack/", options)) {
    files.set(key, { size, modified });
  }
  const packs: BucketPack[] = [];
  for (const [key, { size, modified }] of files) {
    const name = /^objects\/pack\/(.*)\.pack$/.exec(key)?.[1] ?? "";
    const index = files.get(packKey(name, "idx"));
    if (!isPackName(name) || !index) continue;
    const promisor = files.has(packKey(name, "promisor"));
    packs.push({ name, size, indexSize: index.size, promisor, ...(modified && { modified }) });
  }
  return packs;
}

async function asked(
  bucket: Bucket,
  options: CallOptions | undefined,
  known: (name: string) => BucketPack | undefined,
): Promise<BucketPack[]> {
  async function* names() {
    yield* await namesInTable(bucket, options);
  }
  const look = async (name: string): Promise<BucketPack | undefined> => {
    const before = known(name);
    if (before !== undefined) return before;
    const [pack, idx, mark] = await Promise.all(
      (["pack", "idx", "promisor"] as const).map((part) => bucket.head(packKey(name, part), options)),
    );
    if (!pack || !idx) return undefined;
    const modified = pack.modified && { modified: pack.modified };
    return { name, size: pack.size, indexSize: idx.size, promisor: mark !== undefined, ...modified };
  };
  const packs: BucketPack[] = [];
  for await (const pack of inParallel(names(), CONCURRENCY, look)) packs.push(pack);
  return packs;
}

/** Lines `P pack-<hex>.pack`; others are for later versions of git. */
async function namesInTable(bucket: Bucket, options?: CallOptions): Promise<string[]> {
  const range = { start: 0, end: TABLE_LIMIT };
  const body = await bucket.read("objects/info/packs", { ...options, range });
  if (body === undefined) return [];
  const lines = (await collect(body.content, TABLE_LIMIT)).toString("latin1").split("\n");
  return lines.map((line) => /^P (.*)\.pack$/.exec(line)?.[1] ?? "").filter(isPackName);
}
