/** `serveBucket`: a bucket behind HTTP, in both dialects of docs/http-dialect.md. */

import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Bucket } from "../bucket/bucket.js";
import { OdbError, toOdbError } from "../errors.js";
import { type AccessOptions, createGuard, isLoopback } from "./access.js";
import { type Answer, failureAnswer } from "./answer.js";
import { type Exchange, parseTarget, send } from "./exchange.js";
import { folderStores } from "./folder-stores.js";
import { route, type Served } from "./route.js";

/** How a bucket is served. */
export interface ServeOptions extends AccessOptions {
  /** Address or name to listen on. Default 127.0.0.1; any other than a loopback one needs `credentials`. */
  readonly host?: string;
  /** Default 0: any free one, told by {@link RunningServer.url}. */
  readonly port?: number;
  /** Certificate chain and private key in PEM: https instead of http. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  /** By which clients reach this server, for the links of LFS answers. Default: where it listens. */
  readonly baseUrl?: string;
  /** Refuse whatever changes the bucket. */
  readonly readOnly?: boolean;
  /** Let clients delete; needs `credentials`. */
  readonly allowDelete?: boolean;
  /** Largest body of one request, in bytes. Default: any. */
  readonly maxSize?: number;
  /** Told of every request once it is over. */
  readonly log?: (line: RequestLog) => void;
  /** How long a client may neither send nor take a byte that is due, in milliseconds. Default 60,000. */
  readonly idleMs?: number;
  /** How long `close` lets running requests go on, in milliseconds. Default 5,000. */
  readonly graceMs?: number;
}

/** One request that is over. There are no header fields and so no credentials in it. */
export interface RequestLog {
  readonly remote: string;
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  /** 0 when the client was gone before there was an answer. */
  readonly status: number;
  readonly milliseconds: number;
  /** What went wrong inside; for the operator, not told to the client. */
  readonly error?: OdbError;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** `http(s)://host:port`, without a final `/`. */
  readonly url: string;
  /** Takes no more connections, lets running requests end, cuts what takes too long. The bucket stays open. */
  close(): Promise<void>;
}

const KEEP_ALIVE_MS = 15_000;
const HEADERS_MS = 20_000;
const HEADER_BYTES = 64 * 1024;
const CONNECTIONS = 1024;

/**
 * Serves a bucket until it is closed.
 *
 * @throws OdbError config, when what is asked for is not safe (see {@link ServeOptions}) or the address is taken
 */
export async function serveBucket(bucket: Bucket, options: ServeOptions = {}): Promise<RunningServer> {
  const host = options.host ?? "127.0.0.1";
  checkSafe(host, options);
  const guard = createGuard(host, options);
  const served: Served = {
    bucket,
    objects: folderStores(bucket),
    readOnly: options.readOnly ?? false,
    allowDelete: options.allowDelete ?? false,
    baseUrl: () => options.baseUrl ?? urlOf(server, host, options),
    maxSize: options.maxSize ?? Number.MAX_SAFE_INTEGER,
  };
  const listener = createListener(options, (exchange) => guard(exchange.request) ?? route(served, exchange));
  const server = createNodeServer(options, listener);
  await listen(server, host, options.port ?? 0);
  const close = () => closeServer(server, options.graceMs ?? 5000);
  return { url: urlOf(server, host, options), close, [Symbol.asyncDispose]: close };
}

function checkSafe(host: string, options: ServeOptions): void {
  const hasCredentials = (options.credentials ?? []).length > 0;
  if (!isLoopback(host) && !hasCredentials) {
    throw new OdbError("config", `listening on ${host}, which others can reach, needs credentials`);
  }
  if (options.allowDelete && !hasCredentials) {
    throw new OdbError("config", "deleting over HTTP needs credentials, on any address");
  }
}

/** Handles one request from its header to the last byte of its answer; never throws. */
function createListener(
  options: ServeOptions,
  answer: (exchange: Exchange) => Answer | Promise<Answer>,
): RequestListener {
  return async (request, response) => {
    const started = performance.now();
    const { method = "", url: target = "" } = request;
    const remote = request.socket.remoteAddress ?? "";
    const exchange = exchangeOf(request, response, options.idleMs ?? 60_000);
    const error = await answerOne(exchange, answer);
    const milliseconds = Math.round(performance.now() - started);
    const status = response.headersSent ? response.statusCode : 0;
    options.log?.({ remote, method, target, status, milliseconds, ...(error && { error }) });
  };
}

function exchangeOf(request: IncomingMessage, response: ServerResponse, idleMs: number): Exchange {
  const gone = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  // A connection that ends is seen by whoever reads or writes at the time; without a listener it would be thrown.
  request.on("error", () => {});
  response.on("error", () => {});
  return { request, response, target: parseTarget(request.url ?? ""), signal: gone.signal, idleMs };
}

/** @returns what went wrong inside, if anything did */
async function answerOne(
  exchange: Exchange,
  answer: (exchange: Exchange) => Answer | Promise<Answer>,
): Promise<OdbError | undefined> {
  try {
    await send(exchange, await answer(exchange));
    return undefined;
  } catch (thrown) {
    const error = toOdbError(thrown);
    if (!exchange.response.headersSent && !exchange.response.destroyed) {
      const { method, url } = exchange.request;
      await send(exchange, failureAnswer(error, `${method} ${url}`));
    }
    return error;
  }
}

function createNodeServer(options: ServeOptions, listener: RequestListener): HttpServer {
  const limits = {
    maxHeaderSize: HEADER_BYTES,
    headersTimeout: HEADERS_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 5000,
    // A large body may take as long as it moves: `idleMs` sees to that.
    requestTimeout: 0,
  };
  const server = options.tls ? createHttpsServer({ ...limits, ...options.tls }) : createHttpServer(limits);
  server.maxConnections = CONNECTIONS;
  server.on("request", listener);
  // "Go on" is said only when the body is wanted (exchange.ts).
  server.on("checkContinue", listener);
  return server;
}

function listen(server: HttpServer, host: string, port: number): Promise<void> {
  return new Promise((done, fail) => {
    const failed = (error: Error) =>
      fail(new OdbError("config", `cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
    server.once("error", failed);
    server.listen(port, host, () => {
      server.off("error", failed);
      done();
    });
  });
}

function urlOf(server: HttpServer, host: string, options: ServeOptions): string {
  const { port } = server.address() as AddressInfo;
  const name = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
  return `${options.tls ? "https" : "http"}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

async function closeServer(server: HttpServer, graceMs: number): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise((done) => server.close(done));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
