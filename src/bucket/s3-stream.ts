/** Writing content of unknown size to S3: parts are sent as they fill, a few at a time. */

import { OdbError } from "../errors.js";
import { type Content, sourceOf } from "../object/content.js";
import type { CallOptions } from "./bucket.js";
import { checkKey } from "./keys.js";
import { abandon, create, sendPart } from "./s3-multipart.js";
import { putOnce } from "./s3-put.js";
import { MAX_PARTS, type S3Context } from "./s3-request.js";
import { completeUpload, type Upload } from "./s3-upload.js";

/** Parts on their way at once; each holds `limits.part` bytes of memory, and one more is being filled. */
const PARALLEL = 3;

/** `Bucket.writeStream`. Content of less than a part is one PUT. @returns the size in bytes */
export async function writeStream(
  context: S3Context,
  key: string,
  content: Content,
  { signal }: CallOptions = {},
): Promise<number> {
  checkKey(key);
  let upload: Upload | undefined;
  let size = 0;
  const sending = new PartQueue();
  const stop = new AbortController();
  const joined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  try {
    let count = 0;
    for await (const part of partsOf(content, context.limits.part)) {
      size += part.length;
      if (upload === undefined && part.length < context.limits.part) {
        await putOnce(context, key, sourceOf(part), signal ? { signal } : {}, {});
        return size;
      }
      upload ??= await create(context, key, signal ? { signal } : {});
      if (++count > MAX_PARTS) throw tooLarge(context, key);
      await sending.add(sendOne(context, upload, count, part, joined));
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
  upload.done.set(number, await sendPart(context, upload, number, sourceOf(part), range, signal));
}

/** Buffers of exactly `size` bytes, the last one of what is left. */
async function* partsOf(content: Content, size: number): AsyncIterable<Buffer> {
  let part = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + size - filled);
      part.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled < size) continue;
      yield part;
      part = Buffer.allocUnsafe(size);
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

function tooLarge({ name, limits }: S3Context, key: string): OdbError {
  const most = (MAX_PARTS * limits.part) / 2 ** 30;
  return new OdbError("unsupported", `${name}/${key}: a stream of more than ${Math.floor(most)} GiB`);
}
