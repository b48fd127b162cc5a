/** Writing content of unknown size to S3: parts are sent as they fill, a few at a time. */

import { OdbError } from "../errors.js";
import { type Content, type Source, sourceOf } from "../object/content.js";
import type { StreamOptions } from "./bucket.js";
import { checkKey } from "./keys.js";
import { abandon, create, sendPart } from "./s3-multipart.js";
import { putOnce } from "./s3-put.js";
import { MAX_PARTS, partSize, type S3Context } from "./s3-request.js";
import { completeUpload, type Upload } from "./s3-upload.js";

/** Parts that are filled or on their way at once, each in memory: half as large as those that can be read again. */
const PARALLEL = 4;

/** In bytes: whoever says how large a stream will be may be wrong. */
const PART_MOST = 64 * 1024 * 1024;

/** A part goes to the wire in pieces of this size: TLS holds what it is given once more. */
const PIECE = 256 * 1024;

/** `Bucket.writeStream`. Content of less than a part is one PUT. @returns the size in bytes */
export async function writeStream(
  context: S3Context,
  key: string,
  content: Content,
  { signal, size: expected = 0 }: StreamOptions = {},
): Promise<number> {
  checkKey(key);
  let upload: Upload | undefined;
  let size = 0;
  const length = Math.min(partSize(expected, context.limits.streamPart), PART_MOST);
  const sending = new PartQueue();
  const stop = new AbortController();
  const joined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  try {
    let count = 0;
    const room: Buffer[] = [];
    for await (const part of partsOf(content, length, room)) {
      size += part.length;
      if (upload === undefined && part.length < length) {
        await putOnce(context, key, sourceOf(part), signal ? { signal } : {}, {});
        return size;
      }
      upload ??= await create(context, key, signal ? { signal } : {});
      if (++count > MAX_PARTS) throw tooLarge(context, key, length);
      // Used again, not left to the collector, which has no hurry: the memory of a part is most of what an upload takes.
      await sending.add(sendOne(context, upload, count, part, joined).then(() => void room.push(part)));
    }
    await sending.settled();
    if (upload === undefined)
      await putOnce(context, key, sourceOf(Buffer.alloc(0)), signal ? { signal } : {}, {});
    else await completeUpload(context, upload, signal);
    return size;
  } catch (error) {
    stop.abort();
    await sending.settled().catch(() => {});
    if (upload !== undefined) await abandon(context, upload);
    throw error;
  }
}

async function sendOne(
  context: S3Context,
  upload: Upload,
  number: number,
  part: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const range = { start: 0, end: part.length };
  upload.done.set(number, await sendPart(context, upload, number, inPieces(part), range, signal));
}

function inPieces(bytes: Buffer): Source {
  return {
    size: bytes.length,
    async *open({ start = 0, end = bytes.length } = { start: 0 }) {
      for (let at = start; at < end; at += PIECE) yield bytes.subarray(at, Math.min(at + PIECE, end));
    },
  };
}

/** Buffers of exactly `size` bytes, the last one of what is left. @param room buffers of that size to be filled */
async function* partsOf(content: Content, size: number, room: Buffer[]): AsyncIterable<Buffer> {
  const next = () => room.pop() ?? Buffer.allocUnsafe(size);
  let part = next();
  let filled = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + size - filled);
      part.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled < size) continue;
      yield part;
      part = next();
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}

/** So many promises at once; a failure comes out of whatever is awaited next. */
class PartQueue {
  readonly #running = new Set<Promise<void>>();
  #failed: { error: unknown } | undefined;

  async add(task: Promise<void>): Promise<void> {
    const settled = task
      .catch((error: unknown) => {
        this.#failed ??= { error };
      })
      .then(() => void this.#running.delete(settled));
    this.#running.add(settled);
    if (this.#running.size >= PARALLEL) await Promise.race(this.#running);
    if (this.#failed) throw this.#failed.error;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failed) throw this.#failed.error;
  }
}

function tooLarge({ name }: S3Context, key: string, length: number): OdbError {
  const most = (MAX_PARTS * length) / 2 ** 30;
  return new OdbError("unsupported", `${name}/${key}: a stream of more than ${Math.floor(most)} GiB`);
}
