/** Where the embedded S3 server keeps bytes: small runs in memory up to a bound, everything else in files of its folder. */

import { createHash, randomUUID } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Blob } from "./types.js";

/** A run up to this size stays in memory … */
const SMALL = 1024 * 1024;

/** … as long as all of them together take no more than this. */
const MEMORY = 192 * 1024 * 1024;

const CHUNK = 1024 * 1024;

/** Blobs in one folder. */
export class BlobStore {
  readonly #directory: string;
  #held = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes content whole, or leaves nothing: what it throws passes through. The caller holds the one reference. */
  async write(content: AsyncIterable<Uint8Array>): Promise<Blob> {
    const md5 = createHash("md5");
    let head: Uint8Array[] = [];
    let size = 0;
    let file: { path: string; handle: Awaited<ReturnType<typeof open>> } | undefined;
    try {
      for await (const chunk of content) {
        md5.update(chunk);
        size += chunk.length;
        head.push(chunk);
        if (file === undefined && (size > SMALL || this.#held + size > MEMORY)) {
          const path = join(this.#directory, randomUUID());
          file = { path, handle: await open(path, "wx") };
        }
        if (file !== undefined) {
          for (const held of head) await file.handle.writeFile(held);
          head = [];
        }
      }
    } catch (error) {
      if (file !== undefined) await rm(file.path, { force: true });
      throw error;
    } finally {
      await file?.handle.close();
    }
    if (file !== undefined) return { size, md5: md5.digest(), path: file.path, refs: 1 };
    this.#held += size;
    return { size, md5: md5.digest(), bytes: Buffer.concat(head), refs: 1 };
  }

  /** Gives one reference back; with the last one the bytes are gone (readers under way keep theirs). */
  release(blobs: Iterable<Blob>): void {
    for (const blob of blobs) {
      blob.refs -= 1;
      if (blob.refs > 0) continue;
      if (blob.bytes) this.#held -= blob.size;
      if (blob.path) rm(blob.path, { force: true }).catch((error) => console.error(error));
    }
  }
}

/** The bytes from `start` to before `end` of blobs laid end to end. */
export async function* readBlobs(
  blobs: readonly Blob[],
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (const blob of blobs) {
    const from = Math.max(0, start - offset);
    const to = Math.min(blob.size, end - offset);
    if (from < to) yield* blob.bytes ? [blob.bytes.subarray(from, to)] : readFile(blob.path ?? "", from, to);
    offset += blob.size;
  }
}

async function* readFile(path: string, start: number, end: number): AsyncGenerator<Uint8Array> {
  const handle = await open(path);
  try {
    for (let at = start; at < end; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw new Error(`${path} is shorter than it was`);
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await handle.close();
  }
}
