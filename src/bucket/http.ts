/** A bucket over HTTP: our own server's dialect (docs/http-dialect.md), or any static web server to read from. */

import { randomBytes } from "node:crypto";
import { OdbError } from "../errors.js";
import { type ByteRange, type Content, contentOf, sourceOf } from "../object/content.js";
import type { Body, Bucket, CallOptions, Entry, ReadOptions, WriteOptions, WriteOutcome } from "./bucket.js";
import { checkConditions, checkRange, checkSignal, exactly } from "./flow.js";
import { type HttpClientOptions, httpClient } from "./http-client.js";
import { httpError } from "./http-error.js";
import type { HttpResponse } from "./http-exchange.js";
import { isOurs, listPages } from "./http-list.js";
import { checkKey, checkPrefix } from "./keys.js";

/** How many keys are removed at once. */
const REMOVALS = 8;

/**
 * The bucket at an http(s) URL. Reading needs GET, HEAD and, for parts, Range; a server that ignores Range is read
 * whole. Listing, copying and (as a rule) writing need our own server.
 *
 * @param url without userinfo, query or fragment
 */
export function httpBucket(url: URL | string, options: HttpClientOptions = {}): Bucket {
  const base = new URL(`${String(url).replace(/\/+$/, "")}/`);
  const name = base.href.replace(/\/$/, "");
  const client = httpClient(base, options);
  let conditional: Promise<boolean> | undefined;

  const request = (method: "GET" | "HEAD" | "PUT" | "DELETE", key: string, call: CallOptions = {}) => {
    checkKey(key);
    const path = key.split("/").map(encodeURIComponent).join("/");
    const signal = call.signal && { signal: call.signal };
    return { method, url: new URL(base.href + path), what: `${name}/${key}`, ...signal };
  };

  const head = async (key: string, call?: CallOptions): Promise<Entry | undefined> => {
    const sent = request("HEAD", key, call);
    const response = await client.send(sent);
    if (isGone(response)) return undefined;
    if (response.status !== 200) throw await httpError(response, sent.what);
    response.discard();
    return entryOf(key, response, sent.what);
  };

  const read = async (key: string, call: ReadOptions = {}): Promise<Body | undefined> => {
    const { range } = call;
    const sent = request("GET", key, call);
    if (range) checkRange(range);
    if (range?.end !== undefined && range.end === range.start) return empty(await head(key, call));
    const response = await client.send({ ...sent, headers: rangeHeader(range) });
    if (isGone(response)) return undefined;
    if (response.status === 416) {
      response.discard();
      return empty(await head(key, call));
    }
    if (response.status === 200) return whole(key, response, range, sent.what);
    if (response.status === 206 && range) return part(key, response, range, sent.what);
    throw await httpError(response, sent.what);
  };

  const put = async (key: string, source: Parameters<Bucket["write"]>[1], call: WriteOptions) => {
    const sent = request("PUT", key, call);
    const response = await client.send({ ...sent, body: source, headers: writeHeaders(call) });
    if (response.status === 412) {
      response.discard();
      return { written: false } as const;
    }
    if (![200, 201, 204].includes(response.status)) throw await writeError(response, sent.what);
    response.discard();
    const { etag } = response.headers;
    return { written: true, ...(etag !== undefined && { etag }) } as const;
  };

  /** A condition that cannot hold, on a key that is not there: whoever writes all the same ignores conditions. */
  const probe = async (call: CallOptions = {}): Promise<boolean> => {
    const key = `git-odb-probe-${randomBytes(8).toString("hex")}`;
    try {
      const signal = call.signal && { signal: call.signal };
      const outcome = await put(key, sourceOf(Buffer.from("probe")), {
        ...signal,
        ifMatch: '"git-odb-probe"',
      });
      if (outcome.written) await remove([key], { ...signal });
      return !outcome.written;
    } catch (error) {
      if (error instanceof OdbError && error.code === "unsupported") return false;
      throw error;
    }
  };

  const conditionalWrites = (call?: CallOptions): Promise<boolean> => {
    conditional ??= probe(call).catch((error: unknown) => {
      conditional = undefined;
      throw error;
    });
    return conditional;
  };

  const remove = async (keys: readonly string[], call: CallOptions = {}) => {
    const left = keys.map((key) => request("DELETE", key, call)).values();
    checkSignal(call.signal, `remove from ${name}`);
    const worker = async () => {
      for (const sent of left) {
        const response = await client.send(sent);
        if (!isGone(response) && response.status > 299) throw await httpError(response, sent.what);
        response.discard();
      }
    };
    await Promise.all(Array.from({ length: Math.min(REMOVALS, keys.length) }, worker));
  };

  return {
    name,
    checksSha256: true,
    head,
    read,
    conditionalWrites,
    remove,

    async write(key, source, call: WriteOptions = {}): Promise<WriteOutcome> {
      checkKey(key);
      checkConditions(call, `${name}/${key}`);
      checkSignal(call.signal, `${name}/${key}`);
      const asked = call.ifAbsent === true || call.ifMatch !== undefined;
      if (asked && !(await conditionalWrites(call))) {
        throw new OdbError("unsupported", `${name}/${key}: this server does not honour conditional writes`);
      }
      return put(key, source, call);
    },

    async *list(prefix, call = {}) {
      checkPrefix(prefix);
      yield* listPages(client, base, prefix, call);
    },

    async copy(from, to, call = {}) {
      for (const key of [from, to]) checkKey(key);
      const what = `copy ${name}/${from} to ${to}`;
      const at = new URL(`?${new URLSearchParams({ copy: "", from, to })}`, base);
      const response = await client.send({
        method: "POST",
        url: at,
        what,
        body: sourceOf(Buffer.alloc(0)),
        ...call,
      });
      if (isOurs(response) && isGone(response)) return false;
      if (response.status !== 204) throw await writeError(response, what);
      response.discard();
      return true;
    },

    publicUrl: (key) => (client.isPrivate() ? undefined : request("GET", key).url.href),

    async close() {
      client.close();
    },
  };
}

/** 404 and 410, the body dropped. */
function isGone(response: HttpResponse): boolean {
  if (response.status !== 404 && response.status !== 410) return false;
  response.discard();
  return true;
}

/** To a write, "not found" means that there is no such place, not that a key is absent. */
async function writeError(response: HttpResponse, what: string): Promise<OdbError> {
  // Our checksum of what we sent: it was changed on its way.
  if (response.status === 422) {
    response.discard();
    return new OdbError("unavailable", `${what}: other bytes arrived than were sent: try again later`);
  }
  if (!isGone(response)) return httpError(response, what);
  return new OdbError(
    "config",
    `${what}: the server has no such place (HTTP ${response.status}); check the URL`,
  );
}

function rangeHeader(range: ByteRange | undefined): { range?: string } {
  if (range === undefined) return {};
  return { range: `bytes=${range.start}-${range.end === undefined ? "" : range.end - 1}` };
}

function writeHeaders({ ifAbsent, ifMatch, sha256, contentType }: WriteOptions) {
  return {
    "content-type": contentType ?? "application/octet-stream",
    ...(ifAbsent && { "if-none-match": "*" }),
    ...(ifMatch !== undefined && { "if-match": ifMatch }),
    ...(sha256 !== undefined && { "x-odb-sha256": sha256 }),
  };
}

/** @param size of the whole; the response's own length unless it is a part */
function entryOf(key: string, response: HttpResponse, what: string, size?: number): Entry {
  const {
    etag,
    "last-modified": modified,
    "x-odb-sha256": sha256,
    "content-length": length,
  } = response.headers;
  const bytes = size ?? Number(length ?? Number.NaN);
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new OdbError("unsupported", `${what}: the server does not say its size (no Content-Length)`);
  }
  return {
    key,
    size: bytes,
    ...(etag !== undefined && { etag }),
    ...(modified !== undefined && !Number.isNaN(Date.parse(modified)) && { modified: new Date(modified) }),
    ...(typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256) && { sha256 }),
  };
}

function empty(entry: Entry | undefined): Body | undefined {
  return entry && { entry, content: contentOf() };
}

/** The whole content; only the part asked for, when a server has ignored the range. */
function whole(key: string, response: HttpResponse, range: ByteRange | undefined, what: string): Body {
  const entry = entryOf(key, response, what);
  return { entry, content: range ? slice(response.content(), range) : response.content() };
}

function part(key: string, response: HttpResponse, range: ByteRange, what: string): Body {
  const [, first, last, total] =
    /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers["content-range"] ?? "") ?? [];
  const size = Number(total);
  const end = Math.min(range.end ?? size, size);
  if (first === undefined || Number(first) !== range.start || Number(last) + 1 !== end) {
    response.discard();
    throw new OdbError("integrity", `${what}: the server sent another range than was asked for`);
  }
  const content = exactly(response.content(), end - range.start, what);
  return { entry: entryOf(key, response, what, size), content };
}

async function* slice(content: Content, { start, end = Number.POSITIVE_INFINITY }: ByteRange): Content {
  let at = 0;
  for await (const chunk of content) {
    const piece = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
    at += chunk.length;
    if (piece.length > 0) yield piece;
    if (at >= end) return;
  }
}
