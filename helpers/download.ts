/** One file over http(s), which goes on where an earlier try broke off. */

import { type FileHandle, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OdbError, toOdbError } from "../src/errors.js";

/** No bundle is larger than this; a server that sends without end is stopped here. In bytes. */
const SIZE_LIMIT = 64 * 1024 ** 3;

/** A server that says nothing for so long has failed. In milliseconds. */
const SILENCE_LIMIT = 60_000;

const MAX_REDIRECTS = 5;

/**
 * Downloads `url` into `folder`, where a part of it may lie from before: the rest is asked for by Range, if the server
 * still has the same file.
 *
 * Follows redirects on the same host only.
 *
 * @returns the whole file's path
 * @throws OdbError unavailable, when a later try may go on; others, when there is no point in one
 */
export async function download(url: string, folder: string): Promise<string> {
  const path = join(folder, "bundle");
  const note = join(folder, "bundle.etag");
  await using file = await open(path, "a+").catch(rethrow);
  const held = (await file.stat()).size;
  const [from, etag] = (await readFile(note, "utf8").catch(ifAbsent(""))).split("\n");
  const resume = held > 0 && from === url && etag ? { start: held, etag } : undefined;
  const patience = new Patience();
  const response = await request(url, resume, patience);
  const start = await startOf(response, resume, url);
  await file.truncate(start);
  const newEtag = response.headers.get("etag") ?? "";
  // A weak etag does not promise the same bytes.
  await writeFile(note, `${url}\n${newEtag.startsWith("W/") ? "" : newEtag}\n`);
  await receive(response, { file, start, url, patience }).finally(() => patience.end());
  await file.sync();
  return path;
}

interface Resume {
  readonly start: number;
  readonly etag: string;
}

/** Ends a request that makes no progress. */
class Patience {
  readonly #controller = new AbortController();
  readonly #timer = setTimeout(() => this.#controller.abort(), SILENCE_LIMIT);

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** There was progress. */
  renew(): void {
    this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

async function request(
  url: string,
  resume: Resume | undefined,
  patience: Patience,
  redirects = 0,
): Promise<Response> {
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (resume) Object.assign(headers, { range: `bytes=${resume.start}-`, "if-range": resume.etag });
  const response = await fetch(url, {
    headers,
    redirect: "manual",
    signal: patience.signal,
  }).catch((error: unknown) => {
    patience.end();
    return fail(error, url);
  });
  if (response.status < 300 || response.status > 399) return response;
  const target = new URL(response.headers.get("location") ?? "", url);
  await response.body?.cancel();
  if (redirects === MAX_REDIRECTS) throw new OdbError("invalid", `${url}: too many redirects`);
  if (target.host !== new URL(url).host || target.protocol !== new URL(url).protocol) {
    throw new OdbError("denied", `${url}: redirects to another host, ${target.host}, are not followed`);
  }
  return request(target.href, resume, patience, redirects + 1);
}

/** From where on the answer's bytes are; 0 when the server sends the file from its beginning. */
async function startOf(response: Response, resume: Resume | undefined, url: string): Promise<number> {
  const { status } = response;
  if (status === 200) return 0;
  if (status === 206 && resume && rangeStart(response) === resume.start) return resume.start;
  await response.body?.cancel();
  // 416: all of it is here already. What is not whole fails its check, and is fetched anew when the ref changes.
  if (status === 416 && resume) return resume.start;
  const passing = status >= 500 || status === 408 || status === 429;
  throw new OdbError(passing ? "unavailable" : "denied", `${url}: the server answered ${status}`);
}

function rangeStart(response: Response): number | undefined {
  const start = /^bytes ([0-9]+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
  return start === undefined ? undefined : Number(start);
}

interface Receiving {
  readonly file: FileHandle;
  readonly start: number;
  readonly url: string;
  readonly patience: Patience;
}

async function receive(response: Response, { file, start, url, patience }: Receiving): Promise<void> {
  if (response.status === 416) return;
  const announced = response.headers.get("content-length");
  const end = announced === null ? undefined : start + Number(announced);
  if ((end ?? 0) > SIZE_LIMIT) throw tooLarge(url);
  let size = start;
  try {
    for await (const chunk of response.body ?? []) {
      patience.renew();
      size += chunk.length;
      if (size > SIZE_LIMIT) throw tooLarge(url);
      await file.appendFile(chunk);
    }
  } catch (error) {
    if (error instanceof OdbError) throw error;
    fail(error, url);
  }
  if (end !== undefined && size !== end) {
    throw new OdbError("unavailable", `${url}: the server broke off after ${size} of ${end} bytes`);
  }
}

function tooLarge(url: string): OdbError {
  return new OdbError("full", `${url}: larger than ${SIZE_LIMIT} bytes`);
}

/** fetch says "fetch failed" of everything; its cause knows more. */
function fail(error: unknown, url: string): never {
  const below = (error as Error).cause ?? error;
  const known = toOdbError(below, url);
  if (known.code === "full" || known.code === "denied") throw known;
  throw new OdbError("unavailable", known.message, { cause: error });
}

/** For `catch`: absent is a value, everything else is an error. */
export function ifAbsent<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return value;
    throw toOdbError(error);
  };
}

function rethrow(error: unknown): never {
  throw toOdbError(error);
}
