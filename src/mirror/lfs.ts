/** LFS objects of a mirror: fetched where the pointers lead, verified, and put beside the repository. */

import { createHash, randomUUID } from "node:crypto";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { retrying } from "../bucket/retry.js";
import { OdbError } from "../errors.js";
import { type Content, collect, sourceOf } from "../object/content.js";
import { spool } from "../object/spool.js";
import { inParallel } from "../store/parallel.js";
import { temporaryPrefix } from "./cleanup.js";
import { BATCH, type LfsAction, type LfsClient } from "./lfs-client.js";
import { type LfsObject, lfsKey } from "./lfs-pointer.js";

/** What became of them. */
export interface LfsOutcome {
  readonly copied: number;
  readonly bytes: number;
  /** Those that the server does not have, by oid. */
  readonly missing: readonly string[];
}

/** Objects on their way at once. */
const WIDTH = 8;

/** Up to this size, in bytes, an object is held in memory; above it, it goes by a temporary key or file. */
const SMALL = 1024 * 1024;

/**
 * Copies what the bucket does not have yet.
 *
 * @param onBytes told the size of each object copied
 * @throws OdbError integrity, when bytes do not hash to their name: nothing of them is kept
 */
export async function copyLfsObjects(
  client: LfsClient,
  bucket: Bucket,
  objects: Iterable<LfsObject>,
  onBytes: (bytes: number) => void,
  call: CallOptions,
): Promise<LfsOutcome> {
  const absent: LfsObject[] = [];
  const check = async (object: LfsObject) => {
    const entry = await bucket.head(lfsKey(object.oid), call);
    return entry?.size === object.size ? undefined : object;
  };
  for await (const object of inParallel(objects, WIDTH, check)) absent.push(object);
  const missing: string[] = [];
  let [copied, bytes] = [0, 0];
  for (let at = 0; at < absent.length; at += BATCH) {
    const batch = absent.slice(at, at + BATCH);
    const located = await retrying(() => client.locate(batch, call.signal), {}, client.name, call.signal);
    const copy = async (object: LfsObject) => {
      const action = located.get(object.oid);
      if (action === undefined) missing.push(object.oid);
      else await retrying(() => copyOne(client, bucket, object, action, call), {}, object.oid, call.signal);
      return action && object;
    };
    for await (const { size } of inParallel(batch, WIDTH, copy)) {
      copied++;
      bytes += size;
      onBytes(size);
    }
  }
  return { copied, bytes, missing };
}

async function copyOne(
  client: LfsClient,
  bucket: Bucket,
  object: LfsObject,
  action: LfsAction,
  call: CallOptions,
): Promise<void> {
  const content = checked(await client.download(object, action, call.signal), object, client.name);
  const key = lfsKey(object.oid);
  const options = { ...call, sha256: object.oid };
  if (object.size <= SMALL) {
    await bucket.write(key, sourceOf(await collect(content, SMALL)), options);
  } else if (bucket.writeStream !== undefined) {
    const temporary = `${temporaryPrefix}${randomUUID()}/lfs`;
    try {
      await bucket.writeStream(temporary, content, { ...call, size: object.size });
      await bucket.copy(temporary, key, call);
    } finally {
      await bucket.remove([temporary]);
    }
  } else {
    await using spooled = await spool(content);
    await bucket.write(key, spooled, options);
  }
}

/** @throws OdbError integrity, before more than the size has passed, or at the end */
async function* checked(content: Content, { oid, size }: LfsObject, from: string): Content {
  const hash = createHash("sha256");
  let seen = 0;
  for await (const chunk of content) {
    seen += chunk.length;
    if (seen > size)
      throw new OdbError("integrity", `LFS object ${oid} of ${from}: more than its ${size} bytes`);
    hash.update(chunk);
    yield chunk;
  }
  if (seen < size)
    throw new OdbError("integrity", `LFS object ${oid} of ${from}: ${seen} of its ${size} bytes`);
  const found = hash.digest("hex");
  if (found !== oid)
    throw new OdbError("integrity", `LFS object ${oid} of ${from}: the bytes hash to ${found}`);
}
