/** The body of a request as its payload: aws-chunked framing taken off, chunk signatures, trailers and checksums checked. */

import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { checkChunkSignature, type Signed, sha256 } from "./sigv4.js";
import { S3Error, type S3Request } from "./types.js";

/** A line of chunk framing or of a trailer is never longer. */
const MAX_LINE = 1024;

/** A signed chunk is held whole until its signature is checked. */
const MAX_CHUNK = 16 * 1024 * 1024;

/** The payload, and after its end the checksum headers that were proved on the way. */
export interface Payload {
  readonly content: AsyncIterable<Uint8Array>;
  checksums(): Record<string, string>;
}

/**
 * Content that throws before its end if the body is not what was signed and summed.
 *
 * @throws S3Error from the content: XAmzContentSHA256Mismatch, BadDigest, IncompleteBody, SignatureDoesNotMatch
 */
export function decodePayload(request: S3Request, signed: Signed): Payload {
  const wanted = declaredChecksums(request);
  const trailers = new Map<string, string>();
  const streamed = signed.payload.startsWith("STREAMING-");
  const raw = streamed ? unchunk(request, signed, trailers) : request.body;
  const size = streamed ? request.header("x-amz-decoded-content-length") : request.header("content-length");
  if (streamed && size === undefined) throw new S3Error(411, "MissingContentLength");
  const trailer = request.header("x-amz-trailer");
  if (trailer?.startsWith("x-amz-checksum-")) wanted.set(trailer, undefined);
  const sums = new Map([...wanted.keys()].map((name) => [name, summer(name)]));
  if (/^[0-9a-f]{64}$/.test(signed.payload)) sums.set("x-amz-content-sha256", summer("hex-sha256"));
  async function* checked(): AsyncIterable<Uint8Array> {
    let length = 0;
    for await (const chunk of raw) {
      length += chunk.length;
      for (const sum of sums.values()) sum.update(chunk);
      yield chunk;
    }
    if (size !== undefined && length !== Number(size)) throw new S3Error(400, "IncompleteBody");
    finish(sums, wanted, trailers, signed.payload);
  }
  return {
    content: checked(),
    checksums: () =>
      Object.fromEntries(
        [...wanted].flatMap(([name, value]) => (value && name !== "content-md5" ? [[name, value]] : [])),
      ),
  };
}

function finish(
  sums: Map<string, Summer>,
  wanted: Map<string, string | undefined>,
  trailers: Map<string, string>,
  payload: string,
): void {
  for (const [name, sum] of sums) {
    const found = sum.digest();
    if (name === "x-amz-content-sha256") {
      if (found !== payload) throw new S3Error(400, "XAmzContentSHA256Mismatch");
      continue;
    }
    const claimed = wanted.get(name) ?? trailers.get(name);
    if (claimed === undefined) throw new S3Error(400, "MalformedTrailerError", `trailer ${name} is missing`);
    if (claimed !== found)
      throw new S3Error(400, "BadDigest", `${name}: ${claimed} was sent, ${found} arrived`);
    wanted.set(name, found);
  }
}

function declaredChecksums(request: S3Request): Map<string, string | undefined> {
  const declared = new Map<string, string | undefined>();
  for (const [name, value] of Object.entries(request.message.headers)) {
    const sum = /^x-amz-checksum-(crc32|crc32c|crc64nvme|sha1|sha256)$/.test(name) || name === "content-md5";
    if (sum && typeof value === "string") declared.set(name, value);
  }
  for (const [name, value] of request.query) {
    if (/^x-amz-checksum-(crc32|sha1|sha256)$/i.test(name)) declared.set(name.toLowerCase(), value);
  }
  return declared;
}

/** `<hex size>[;chunk-signature=<hex>]CRLF <bytes> CRLF … 0 … CRLF <trailer lines> CRLF` */
async function* unchunk(
  request: S3Request,
  signed: Signed,
  trailers: Map<string, string>,
): AsyncGenerator<Uint8Array> {
  const signs = signed.payload.startsWith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  const reader = new LineReader(request.body);
  let previous = signed.signature;
  for (;;) {
    const match = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(await reader.line());
    if (!match?.[1] || (signs && !match[2])) throw new S3Error(400, "IncompleteBody", "no chunk header");
    const size = Number.parseInt(match[1], 16);
    if (signs) {
      if (size > MAX_CHUNK) throw new S3Error(400, "InvalidChunkSizeError");
      const bytes = await reader.bytes(size);
      checkChunkSignature(
        signed,
        ["AWS4-HMAC-SHA256-PAYLOAD", previous, sha256(""), sha256(bytes)],
        match[2] ?? "",
      );
      previous = match[2] ?? "";
      yield bytes;
    } else {
      yield* reader.stream(size);
    }
    if (size === 0) break;
    if ((await reader.line()) !== "") throw new S3Error(400, "IncompleteBody", "no CRLF behind a chunk");
  }
  await readTrailers(reader, signed, previous, trailers);
}

async function readTrailers(
  reader: LineReader,
  signed: Signed,
  previous: string,
  trailers: Map<string, string>,
): Promise<void> {
  let text = "";
  for (let line = await reader.line(true); line !== ""; line = await reader.line(true)) {
    const colon = line.indexOf(":");
    if (colon < 0 || trailers.size > 16) throw new S3Error(400, "MalformedTrailerError");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    trailers.set(name, value);
    if (name !== "x-amz-trailer-signature") text += `${name}:${value}\n`;
  }
  if (signed.payload === "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") {
    const signature = trailers.get("x-amz-trailer-signature") ?? "";
    checkChunkSignature(signed, ["AWS4-HMAC-SHA256-TRAILER", previous, sha256(text)], signature);
  }
}

/** Lines and counted bytes from a stream of chunks. */
class LineReader {
  readonly #input: AsyncIterator<Uint8Array>;
  #held = Buffer.alloc(0);

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** Up to CRLF, which is taken too. At the end of input: an error, or "" if `atEnd`. */
  async line(atEnd = false): Promise<string> {
    for (;;) {
      const end = this.#held.indexOf("\r\n");
      if (end >= 0) {
        const line = this.#held.toString("latin1", 0, end);
        this.#held = this.#held.subarray(end + 2);
        return line;
      }
      if (this.#held.length > MAX_LINE) throw new S3Error(400, "IncompleteBody", "line too long");
      if (!(await this.#more())) {
        if (atEnd && this.#held.length === 0) return "";
        throw new S3Error(400, "IncompleteBody", "the body ends inside its framing");
      }
    }
  }

  async bytes(size: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.stream(size)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async *stream(size: number): AsyncGenerator<Uint8Array> {
    for (let left = size; left > 0; ) {
      if (this.#held.length === 0 && !(await this.#more())) throw new S3Error(400, "IncompleteBody");
      const chunk = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(chunk.length);
      left -= chunk.length;
      yield chunk;
    }
  }

  async #more(): Promise<boolean> {
    const next = await this.#input.next();
    if (next.done) return false;
    this.#held = this.#held.length === 0 ? Buffer.from(next.value) : Buffer.concat([this.#held, next.value]);
    return true;
  }
}

interface Summer {
  update(chunk: Uint8Array): void;
  digest(): string;
}

function summer(name: string): Summer {
  if (name === "hex-sha256") return ofHash(createHash("sha256"), "hex");
  if (name === "content-md5") return ofHash(createHash("md5"), "base64");
  const algorithm = name.slice("x-amz-checksum-".length);
  if (algorithm === "sha1" || algorithm === "sha256") return ofHash(createHash(algorithm), "base64");
  if (algorithm !== "crc32") throw new S3Error(501, "NotImplemented", `checksum ${algorithm}`);
  let sum = 0;
  return {
    update(chunk) {
      sum = crc32(chunk, sum);
    },
    digest() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(sum);
      return bytes.toString("base64");
    },
  };
}

function ofHash(hash: Hash, encoding: "hex" | "base64"): Summer {
  return { update: (chunk) => void hash.update(chunk), digest: () => hash.digest(encoding) };
}
