/** Bodies of S3 requests and answers: counted, and hashed on the way. */

import { createHash, hash } from "node:crypto";
import type { Readable } from "node:stream";
import { OdbError } from "../errors.js";
import { type ByteRange, type Content, collect, type Source, sourceOf } from "../object/content.js";
import { abortedError, exactly } from "./flow.js";
import type { RequestBody, Uploaded } from "./s3-calls.js";
import { bareEtag } from "./s3-request.js";

/** Up to this size, in bytes, a body is sent from memory, with all its checksums in the headers. */
const IN_MEMORY = 1024 * 1024;

/**
 * Sends (a range of) a source and gives the answer with the MD5, in hex, of what was sent. A source that fails, or
 * that yields another number of bytes, breaks the request off: the service stores nothing. An ETag that is an MD5
 * must be that of the bytes sent.
 *
 * @param send one try
 * @param sha256 of the source, in hex, if it is known: the service refuses other bytes
 * @throws OdbError integrity, for a source of another length; whatever the source throws
 */
export async function withBody<T extends Uploaded>(
  source: Source,
  range: { start: number; end: number } | undefined,
  what: string,
  send: Send<T>,
  sha256?: string,
): Promise<{ answer: T; md5: string }> {
  const size = range === undefined ? source.size : range.end - range.start;
  const content = exactly(source.open(range), size, what);
  const sent =
    size <= IN_MEMORY ? await sendBuffer(content, size, send, sha256) : await sendStream(content, size, send);
  checkEtag(sent.answer, sent.md5, what);
  return sent;
}

/** The body of an answer as content: `integrity` when it ends early, the connection freed when the reader returns. */
export async function* bodyContent(
  stream: Readable,
  size: number,
  what: string,
  signal: AbortSignal | undefined,
): Content {
  let seen = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      seen += chunk.length;
      yield chunk;
    }
  } catch (error) {
    if (signal?.aborted) throw abortedError(what, error);
    throw new OdbError(
      "integrity",
      `${what}: the connection broke after ${seen} of ${size} bytes: try again`,
      {
        cause: error,
      },
    );
  } finally {
    stream.destroy();
  }
  if (seen !== size) throw new OdbError("integrity", `${what}: it ended after ${seen} of ${size} bytes`);
}

/** MD5 in hex of a range of a source. */
export async function md5Of(source: Source, range: ByteRange): Promise<string> {
  const hash = createHash("md5");
  for await (const chunk of source.open(range)) hash.update(chunk);
  return hash.digest("hex");
}

type Send<T> = (body: RequestBody) => Promise<T>;

async function sendBuffer<T>(content: Content, size: number, send: Send<T>, known?: string) {
  const bytes = await collect(content, size);
  const md5 = createHash("md5").update(bytes).digest();
  const sha256 = known ?? hash("sha256", bytes, "hex");
  const answer = await send({ source: sourceOf(bytes), bytes, md5: md5.toString("base64"), sha256 });
  return { answer, md5: md5.toString("hex") };
}

async function sendStream<T>(content: Content, size: number, send: Send<T>) {
  const md5 = createHash("md5");
  let failure: unknown;
  async function* hashed(): Content {
    try {
      for await (const chunk of content) {
        md5.update(chunk);
        yield chunk;
      }
    } catch (error) {
      failure ??= error;
      throw error;
    }
  }
  try {
    const answer = await send({ source: { size, open: hashed } });
    return { answer, md5: md5.digest("hex") };
  } catch (error) {
    // The source's own failure says more than that of the request it broke.
    throw failure ?? error;
  }
}

function checkEtag({ ETag, ServerSideEncryption }: Uploaded, md5: string, what: string): void {
  const etag = bareEtag(ETag ?? "");
  // Under KMS an ETag looks like an MD5 and is none.
  if (!/^[0-9a-f]{32}$/.test(etag) || ServerSideEncryption?.startsWith("aws:kms") || etag === md5) return;
  throw new OdbError("integrity", `${what}: the service stored other bytes than were sent`);
}
