/** One file over http(s), which goes on where an earlier try broke off. */

import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HttpClient } from "../bucket/http-client.js";
import type { HttpResponse } from "../bucket/http-exchange.js";
import { OdbError, toOdbError } from "../errors.js";
import { HttpClients } from "./clients.js";

/** No bundle is larger than this; a server that sends without end is stopped here. In bytes. */
const SIZE_LIMIT = 64 * 1024 ** 3;

/** What is known of a file before it is fetched, and how to fetch it. */
export interface DownloadOptions {
  /** In bytes. */
  readonly size?: number | undefined;
  /** In hex. With it, a part is also gone on with where the server has no strong etag: the digest will tell. */
  readonly sha256?: string | undefined;
  /** The etag of a file that is not wanted: as long as the server has it, nothing is downloaded. */
  readonly unwanted?: string | undefined;
  /** Default: one of its own, without credentials. */
  readonly clients?: HttpClients | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of bytes as they arrive. */
  readonly onBytes?: ((count: number) => void) | undefined;
  /** Told how many bytes are on disk and where: fewer than before when the server sends another file. */
  readonly onFile?: ((path: string, size: number) => void) | undefined;
}

/**
 * Downloads `url` into `folder` (made if absent), where a part of it may lie from before: the rest is asked for by
 * Range, if the server still has the same file. What turns out wrong is thrown away.
 *
 * @returns the whole file's path
 * @throws OdbError unavailable, when a later try may go on; integrity, when it is not the file that was promised;
 *   others, when there is no point in trying again
 */
export async function download(url: string, folder: string, options: DownloadOptions = {}): Promise<string> {
  const path = join(folder, FILE);
  await mkdir(folder, { recursive: true }).catch(rethrow);
  await using file = await open(path, "a+").catch(rethrow);
  const note = join(folder, NOTE);
  const base = new URL(url);
  using own = new HttpClients();
  try {
    const resume = await heldPart(file, note, url, options);
    const response = await request((options.clients ?? own).of(base), base, resume, options);
    refuseUnwanted(response, url, options);
    const start = await startOf(response, resume, url);
    await file.truncate(start);
    await writeFile(note, `${url}\n${response.headers.etag ?? ""}\n`);
    // Not synced to disk: should the machine crash, the digest or git tells that a part was spoilt.
    await receive(response, { file, path, start, url, options });
    return path;
  } catch (error) {
    const known = toOdbError(error, url);
    if (known.code === "integrity") {
      await file.truncate(0);
      options.onFile?.(path, 0);
    }
    throw known;
  }
}

const FILE = "bundle";
const NOTE = "bundle.etag";

/** The etag of what lies in `folder`; empty when the server named none. */
export async function versionIn(folder: string): Promise<string> {
  return (await readFile(join(folder, NOTE), "utf8").catch(ifAbsent(""))).split("\n")[1] ?? "";
}

/** For `catch`: absent is a value, everything else is an error. */
export function ifAbsent<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return value;
    throw toOdbError(error);
  };
}

/** A part that can be gone on with: its size, and the version it is of where the server names one. */
interface Resume {
  readonly start: number;
  readonly etag: string | undefined;
}

async function heldPart(
  file: FileHandle,
  note: string,
  url: string,
  { sha256, size = SIZE_LIMIT }: DownloadOptions,
): Promise<Resume | undefined> {
  const start = (await file.stat()).size;
  const [from, etag = ""] = (await readFile(note, "utf8").catch(ifAbsent(""))).split("\n");
  if (start === 0 || start > size || from !== url) return undefined;
  // A weak etag does not promise the same bytes.
  const isStrong = etag !== "" && !etag.startsWith("W/");
  if (!isStrong && sha256 === undefined) return undefined;
  return { start, etag: isStrong ? etag : undefined };
}

async function request(
  client: HttpClient,
  url: URL,
  resume: Resume | undefined,
  { signal, unwanted }: DownloadOptions,
): Promise<HttpResponse> {
  const headers = {
    ...(resume && { range: `bytes=${resume.start}-` }),
    ...(resume?.etag && { "if-range": resume.etag }),
    ...(unwanted && { "if-none-match": unwanted }),
  };
  return await client.send({ method: "GET", url, what: url.href, headers, ...(signal && { signal }) });
}

/** Not every server knows `If-None-Match`, but it names what it sends. */
function refuseUnwanted(response: HttpResponse, url: string, { unwanted }: DownloadOptions): void {
  if (!unwanted || (response.status !== 304 && response.headers.etag !== unwanted)) return;
  response.discard();
  throw new OdbError("conflict", `${url}: the server still has the file that was refused before`);
}

/** From where on the answer's bytes are; 0 when the server sends the file from its beginning. */
async function startOf(response: HttpResponse, resume: Resume | undefined, url: string): Promise<number> {
  const { status, headers } = response;
  if (status === 200) return 0;
  const start = /^bytes ([0-9]+)-/.exec(headers["content-range"] ?? "")?.[1];
  if (status === 206 && resume && Number(start) === resume.start) return resume.start;
  response.discard();
  // 416: all of it is here already. What is not whole fails its check.
  if (status === 416 && resume) return resume.start;
  const isPassing = status >= 500 || status === 408 || status === 429;
  throw new OdbError(isPassing ? "unavailable" : "denied", `${url}: the server answered ${status}`);
}

interface Receiving {
  readonly file: FileHandle;
  readonly path: string;
  readonly start: number;
  readonly url: string;
  readonly options: DownloadOptions;
}

async function receive(response: HttpResponse, at: Receiving): Promise<void> {
  const { file, start, url, options } = at;
  const limit = Math.min(options.size ?? SIZE_LIMIT, SIZE_LIMIT);
  const announced = start + Number(response.headers["content-length"] ?? 0);
  if (response.status !== 416 && announced > limit) throw tooLarge(url, limit, options);
  const digest = options.sha256 === undefined ? undefined : await digestOf(at.path, start);
  let size = start;
  options.onFile?.(at.path, size);
  try {
    for await (const chunk of response.status === 416 ? [] : response.content()) {
      size += chunk.length;
      if (size > limit) break;
      digest?.update(chunk);
      await file.appendFile(chunk);
      options.onBytes?.(chunk.length);
      options.onFile?.(at.path, size);
    }
  } catch (error) {
    throw brokenOff(error, url, size);
  }
  if (size > limit) throw tooLarge(url, limit, options);
  if (options.size !== undefined && size !== options.size) {
    throw new OdbError("integrity", `${url}: ${size} bytes instead of the ${options.size} promised`);
  }
  const found = digest?.digest("hex");
  if (found !== options.sha256)
    throw new OdbError("integrity", `${url}: its SHA-256 is ${found}, not the one promised`);
}

/** A body that ends early is no bad file yet: a later try goes on with it. */
function brokenOff(error: unknown, url: string, size: number): OdbError {
  const known = toOdbError(error, url);
  if (known.code !== "integrity") return known;
  return new OdbError("unavailable", `${url}: the server broke off after ${size} bytes`, { cause: error });
}

/** A running hash of the part that is there. */
async function digestOf(path: string, size: number): Promise<Hash> {
  const digest = createHash("sha256");
  if (size === 0) return digest;
  for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: 1 << 20 }))
    digest.update(chunk);
  return digest;
}

function tooLarge(url: string, limit: number, { size }: DownloadOptions): OdbError {
  if (size !== undefined) return new OdbError("integrity", `${url}: more than the ${size} bytes promised`);
  return new OdbError("full", `${url}: larger than ${limit} bytes`);
}

function rethrow(error: unknown): never {
  throw toOdbError(error);
}
