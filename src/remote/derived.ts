/** What plain-HTTP readers of a bucket need beside `git-odb/refs`: derived from it, and repaired by every push. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { collect, sourceOf } from "../object/content.js";
import { isObjectId } from "../object/id.js";
import { listPacks, packKey } from "../store/bucket-packs.js";
import { formatInfoRefs, type RefTable, readRefs } from "./refs-object.js";

/** Tries before others are left to finish: each of them writes the same. */
const ATTEMPTS = 5;

/** The sizes of the files that are compared instead of being written again. */
const LIMIT = 256 * 1024 * 1024;

/**
 * Brings `objects/info/packs`, `info/refs` and `HEAD` up to date, in this order: a dumb clone (git-http-backend(1))
 * then never sees a ref without its pack. When the refs have moved meanwhile it is done again, so that of several
 * pushes at once the last one leaves what is true.
 *
 * @param gone keys that are about to be removed: packs whose index is among them are left out
 */
export async function writeDerived(
  bucket: Bucket,
  options?: CallOptions,
  gone?: ReadonlySet<string>,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { table, etag } = await readRefs(bucket, options);
    const packs = (await listPacks(bucket, options))
      .filter(({ name }) => !gone?.has(packKey(name, "idx")))
      .toSorted((a, b) => b.size - a.size);
    const lines = packs.map(({ name }) => `P ${name}.pack\n`);
    await settle(bucket, "objects/info/packs", `${lines.join("")}\n`, options);
    await settle(bucket, "info/refs", formatInfoRefs(table), options);
    await settle(bucket, "HEAD", formatHead(table), options);
    const now = await bucket.head("git-odb/refs", options);
    if (now?.etag === etag) return;
  }
}

async function settle(bucket: Bucket, key: string, text: string, options?: CallOptions): Promise<void> {
  const bytes = Buffer.from(text);
  const found = await bucket.read(key, options);
  if (found !== undefined && (await collect(found.content, LIMIT)).equals(bytes)) return;
  await bucket.write(key, sourceOf(bytes), { ...options, contentType: "text/plain" });
}

function formatHead({ head = "refs/heads/main" }: RefTable): string {
  return isObjectId(head) ? `${head}\n` : `ref: ${head}\n`;
}
