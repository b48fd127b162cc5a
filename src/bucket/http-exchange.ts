/** One HTTP request and its answer: a body that is sent until the server has heard enough, time limits on silence. */

import { once } from "node:events";
import {
  type Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as requestHttp,
} from "node:http";
import { request as requestHttps } from "node:https";
import type { Socket } from "node:net";
import { OdbError } from "../errors.js";
import type { Content, Source } from "../object/content.js";
import type { CallOptions } from "./bucket.js";
import { checkSignal, exactly, failure } from "./flow.js";

/** A request, made again after a redirect or a 401: so its body is a source. */
export interface HttpRequest extends CallOptions {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Source;
  /** Names the request in errors. */
  readonly what: string;
}

/** An answer. One of `content`, `excerpt` and `discard` must be used, or its connection is lost to the client. */
export interface HttpResponse {
  /** Whose answer it is, after redirects. */
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders & Readonly<Record<string, string | string[] | undefined>>;
  /** The body: `integrity` when it ends before its announced length. */
  content(): Content;
  /** The first line of a text body, for an error message; the rest is dropped. */
  excerpt(): Promise<string>;
  discard(): void;
}

/** A body above this size waits for leave to be sent (RFC 9110, 10.1.1), as a refusal would waste it. */
const EXPECT_SIZE = 1 << 20;

/** How long it waits: a server that does not know of it answers nothing. */
const EXPECT_MS = 1000;

/** How long to wait, in milliseconds. */
export interface TimeLimits {
  /** For anything from the other side. */
  readonly idleMs: number;
  /** For a new connection. Default: `idleMs`. */
  readonly connectMs?: number;
}

/**
 * One request and its answer, without redirects.
 *
 * @param headers all of them but those that the body needs
 * @throws OdbError unavailable, when no answer comes; aborted; whatever the body's source throws
 */
export async function sendOnce(
  request: HttpRequest,
  url: URL,
  headers: OutgoingHttpHeaders,
  agent: Agent,
  { idleMs, connectMs }: TimeLimits,
): Promise<HttpResponse> {
  const { method, body, what, signal } = request;
  checkSignal(signal, what);
  const expect = body !== undefined && body.size > EXPECT_SIZE;
  const all = {
    ...headers,
    ...(body && { "content-length": body.size }),
    ...(expect && { expect: "100-continue" }),
  };
  const start = url.protocol === "https:" ? requestHttps : requestHttp;
  const outgoing = start(url, { method, headers: all, agent, ...(signal && { signal }) });
  const watch = watchdog(idleMs, () => outgoing.destroy(silent(what, idleMs)));
  if (connectMs !== undefined) limitConnecting(outgoing, connectMs, what);
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  answered.catch(() => {});
  // A failure after the answer reaches whoever reads the body.
  outgoing.on("error", () => {});
  try {
    if (body === undefined) outgoing.end();
    else await sendBody(outgoing, body, answered, watch, what, expect);
    watch.start();
    const [incoming] = await answered;
    watch.stop();
    return responseOf(incoming, outgoing, watch, { ...request, url });
  } catch (error) {
    watch.stop();
    outgoing.destroy();
    throw connectionError(error, what, signal);
  }
}

/** Sends the source; stops when the server answers before it has all. */
async function sendBody(
  outgoing: ClientRequest,
  body: Source,
  answered: Promise<unknown>,
  watch: Watchdog,
  what: string,
  expect: boolean,
): Promise<void> {
  let early = false;
  const stop = answered.then(
    () => {
      early = true;
    },
    () => {
      early = true;
    },
  );
  if (expect) {
    outgoing.flushHeaders();
    const leave = new AbortController();
    const wait = once(outgoing, "continue", { signal: leave.signal }).catch(() => {});
    const timer = setTimeout(() => leave.abort(), EXPECT_MS);
    await Promise.race([wait, stop]);
    clearTimeout(timer);
    leave.abort();
  }
  for await (const chunk of exactly(body.open(), body.size, what)) {
    // Not ended: what is missing of the body makes the connection useless.
    if (early) return;
    if (outgoing.write(chunk)) continue;
    watch.start();
    await Promise.race([once(outgoing, "drain").catch(() => {}), stop]);
    watch.stop();
  }
  outgoing.end();
}

function responseOf(
  incoming: IncomingMessage,
  outgoing: ClientRequest,
  watch: Watchdog,
  { method, url, what, signal }: HttpRequest,
): HttpResponse {
  const discard = () => {
    // A request that was answered before it was sent whole leaves its connection of no use.
    if (outgoing.writableEnded) incoming.resume();
    else incoming.destroy();
    incoming.on("error", () => {});
  };
  const content = () => {
    const length = method === "HEAD" ? undefined : incoming.headers["content-length"];
    const bytes = received(incoming, watch, what, signal);
    return length === undefined ? bytes : exactly(bytes, Number(length), what);
  };
  const excerpt = async () => {
    const isText = /^text\/plain\b/.test(incoming.headers["content-type"] ?? "");
    if (isText) for await (const chunk of content()) return firstLine(chunk);
    discard();
    return "";
  };
  return { url, status: incoming.statusCode ?? 0, headers: incoming.headers, content, discard, excerpt };
}

async function* received(
  incoming: IncomingMessage,
  watch: Watchdog,
  what: string,
  signal: AbortSignal | undefined,
): Content {
  try {
    watch.start();
    for await (const chunk of incoming) {
      watch.stop();
      checkSignal(signal, what);
      yield chunk;
      watch.start();
    }
    checkSignal(signal, what);
  } catch (error) {
    checkSignal(signal, what);
    const cut = (error as NodeJS.ErrnoException).code === "ECONNRESET" && !incoming.complete;
    if (cut)
      throw new OdbError("integrity", `${what}: the connection ended before the body did`, { cause: error });
    throw connectionError(error, what, signal);
  } finally {
    watch.stop();
  }
}

/** A timer that runs only while it is the other side's turn. */
interface Watchdog {
  start(): void;
  stop(): void;
}

function watchdog(ms: number, onSilence: () => void): Watchdog {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(timer);
  return {
    stop,
    start() {
      stop();
      timer = setTimeout(onSilence, ms);
    },
  };
}

function limitConnecting(outgoing: ClientRequest, ms: number, what: string): void {
  outgoing.once("socket", (socket: Socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => outgoing.destroy(silent(what, ms)), ms);
    const stop = () => clearTimeout(timer);
    socket.once("connect", stop).once("close", stop);
  });
}

function silent(what: string, ms: number): OdbError {
  return new OdbError("unavailable", `${what}: the server was silent for ${ms / 1000} s: try again later`);
}

function connectionError(error: unknown, what: string, signal: AbortSignal | undefined): OdbError {
  if (error instanceof OdbError) return error;
  const { code = "", syscall } = error as NodeJS.ErrnoException;
  // A socket that breaks while we write is the server's doing, not a reader of ours that left.
  const broken = code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE" || code.startsWith("HPE_");
  if (!signal?.aborted && broken) {
    return new OdbError("unavailable", `${what}: the connection broke (${code}): try again later`, {
      cause: error,
    });
  }
  if (syscall === undefined && code === "" && !signal?.aborted) throw error;
  const failed = failure(error, what, signal);
  if (failed.code !== "unavailable") return failed;
  return new OdbError("unavailable", `${failed.message}: is the server up? Try again later`, {
    cause: error,
  });
}

function firstLine(chunk: Uint8Array): string {
  const text =
    Buffer.from(chunk.subarray(0, 400))
      .toString()
      .split(/[\r\n]/)[0] ?? "";
  return text.replace(/\p{Cc}/gu, "?").slice(0, 200);
}
