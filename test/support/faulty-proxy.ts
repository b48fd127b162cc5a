/**
 * An HTTP proxy in front of any server (ours, S3, git) that passes everything through, and misbehaves by rule:
 * slow, refusing, cut connections, short or wrong bodies, lost answers.
 */

import {
  Agent,
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as sendRequest,
} from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { Transform, type TransformCallback } from "node:stream";

/**
 * What goes wrong. Counts of bytes are of the body, before any decoding of it.
 *
 * - `delay`: the request waits so long before it is passed on
 * - `status`: answered by the proxy, never passed on: `{ kind: "status", status: 503, headers: { "retry-after": "1" } }`
 * - `hang`: never answered; the connection stays open until the client or the test ends it
 * - `reset`: the connection is reset; without `afterBytes` before anything is passed on, with it so far into the
 *   answer's body
 * - `reset-upload`: the connections on both sides are cut when so many bytes of the request's body were passed on
 * - `lose-answer`: the server does what was asked, and the client's connection is reset instead of its answer
 * - `hold-answer`: the same, but the connection stays open: the client waits until the test ends it
 * - `truncate`: the answer's head promises the whole body, the connection ends after so many bytes of it
 * - `short`: as `truncate`, but `Content-Length` says the short size too: nothing shows it but the bytes themselves
 * - `corrupt`: one byte of the answer's body is changed; `corrupt-upload`: one of the request's
 */
export type Fault =
  | { readonly kind: "delay"; readonly ms: number }
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  | { readonly kind: "hang" }
  | { readonly kind: "reset"; readonly afterBytes?: number }
  | { readonly kind: "reset-upload"; readonly afterBytes: number }
  | { readonly kind: "lose-answer" }
  | { readonly kind: "hold-answer" }
  /** Ends the connection so long after the bytes have left; default 10 ms. */
  | { readonly kind: "truncate"; readonly afterBytes: number; readonly lingerMs?: number }
  | { readonly kind: "short"; readonly afterBytes: number }
  | { readonly kind: "corrupt"; readonly at?: number }
  | { readonly kind: "corrupt-upload"; readonly at?: number };

/** Which requests a fault strikes. Left-out parts match everything. */
export interface FaultRule {
  /** `"PUT"`, or `/PUT|POST/` */
  readonly method?: string | RegExp;
  /** Matched against the request target, query included, as it stands on the wire. */
  readonly path?: RegExp;
  /** The first request struck, counted from 1 among those that match the rule since it was added. Default 1. */
  readonly nth?: number;
  /** How many matching requests are struck from there on. Default 1; `Infinity` for all. */
  readonly times?: number;
  readonly fault: Fault;
}

/** One request that came by. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  /** The fault that struck it. */
  readonly fault: Fault["kind"] | undefined;
  /** The server has done what was asked. */
  answered: boolean;
}

/** A running proxy. */
export interface FaultyProxy extends AsyncDisposable {
  /** Without a final `/`; put the path of the server behind it. */
  readonly url: string;
  /** Every request so far, in order; a test may empty it. */
  readonly seen: SeenRequest[];
  /** Added to every request that is passed on, in milliseconds. */
  latencyMs: number;
  /** Rules are tried in the order added; the first that strikes counts. */
  add(...rules: FaultRule[]): void;
  /** Forgets the rules. */
  clear(): void;
  /** Cuts every connection and stops. */
  close(): Promise<void>;
}

/**
 * Starts a proxy on a free loopback port.
 *
 * @param target the server's URL (http only); the path of it, if any, is not used. `Host` is passed on as the
 *   client sent it, so that S3 signatures hold.
 */
export async function startFaultyProxy(
  target: string,
  options: { latencyMs?: number } = {},
): Promise<FaultyProxy> {
  const rules: CountedRule[] = [];
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    const fault = strike(rules, request);
    const { method = "", url: path = "", headers } = request;
    const seen: SeenRequest = { method, path, headers, fault: fault?.kind, answered: false };
    proxy.seen.push(seen);
    void pass({ target: new URL(target), agent, latencyMs: proxy.latencyMs, fault, request, response, seen });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const proxy: FaultyProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    latencyMs: options.latencyMs ?? 0,
    add: (...added) => void rules.push(...added.map((rule) => ({ rule, matched: 0 }))),
    clear: () => void rules.splice(0),
    close: () => closeAll(server, agent),
    [Symbol.asyncDispose]: () => closeAll(server, agent),
  };
  return proxy;
}

interface CountedRule {
  readonly rule: FaultRule;
  matched: number;
}

/** The fault for this request; counts it for every rule that it matches. */
function strike(rules: CountedRule[], request: IncomingMessage): Fault | undefined {
  let struck: Fault | undefined;
  for (const counted of rules) {
    const { method, path, nth = 1, times = 1, fault } = counted.rule;
    if (!isMethod(method, request.method ?? "")) continue;
    if (path !== undefined && !path.test(request.url ?? "")) continue;
    counted.matched += 1;
    if (counted.matched >= nth && counted.matched < nth + times) struck ??= fault;
  }
  return struck;
}

function isMethod(wanted: FaultRule["method"], method: string): boolean {
  return wanted instanceof RegExp ? wanted.test(method) : wanted === undefined || wanted === method;
}

interface Passing {
  readonly target: URL;
  readonly agent: Agent;
  readonly latencyMs: number;
  readonly fault: Fault | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly seen: SeenRequest;
}

async function pass(passing: Passing): Promise<void> {
  const { request, response, fault } = passing;
  request.on("error", () => {});
  response.on("error", () => {});
  const wait = passing.latencyMs + (fault?.kind === "delay" ? fault.ms : 0);
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  if (fault?.kind === "hang") request.resume();
  else if (fault?.kind === "status") refuse(request, response, fault);
  else if (fault?.kind === "reset" && fault.afterBytes === undefined) reset(response);
  else forward(passing);
}

function refuse(request: IncomingMessage, response: ServerResponse, fault: Fault & { kind: "status" }): void {
  request.resume();
  response.writeHead(fault.status, { "content-type": "text/plain", ...fault.headers });
  response.end(fault.body ?? `injected fault ${fault.status}\n`);
}

function forward({ target, agent, fault, request, response, seen }: Passing): void {
  const upstream = sendRequest(
    {
      host: target.hostname,
      port: target.port,
      agent,
      method: request.method,
      path: request.url,
      headers: request.rawHeaders,
    },
    (answer) => {
      seen.answered = true;
      relay(answer, response, fault);
    },
  );
  // Whichever side goes first takes the other with it, as a real connection would.
  upstream.on("error", () => reset(response));
  response.on("close", () => upstream.destroy());
  const cut = () => {
    upstream.destroy();
    reset(response);
  };
  if (fault?.kind === "reset-upload") request.pipe(cutAfter(fault.afterBytes, cut)).pipe(upstream);
  else if (fault?.kind === "corrupt-upload") request.pipe(flipByte(fault.at ?? 0)).pipe(upstream);
  else request.pipe(upstream);
}

function relay(answer: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
  answer.on("error", () => reset(response));
  if (fault?.kind === "hold-answer") {
    answer.resume();
    return;
  }
  if (fault?.kind === "lose-answer") {
    reset(response);
    return;
  }
  const headers = [...answer.rawHeaders];
  const length = headers.findIndex((name, at) => at % 2 === 0 && name.toLowerCase() === "content-length");
  if (fault?.kind === "short" && length >= 0) headers[length + 1] = String(fault.afterBytes);
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, headers);
  if (fault?.kind === "corrupt") answer.pipe(flipByte(fault.at ?? 0)).pipe(response);
  else if (fault?.kind === "reset") relayUntil(answer, response, fault.afterBytes ?? 0, reset);
  else if (fault?.kind === "truncate") relayUntil(answer, response, fault.afterBytes, hangUp, fault.lingerMs);
  else if (fault?.kind === "short") relayUntil(answer, response, fault.afterBytes, (done) => done.end());
  else answer.pipe(response);
}

function relayUntil(
  answer: IncomingMessage,
  response: ServerResponse,
  bytes: number,
  end: (response: ServerResponse) => void,
  lingerMs?: number,
): void {
  answer.pipe(cutAfter(bytes, () => end(response), lingerMs)).pipe(response, { end: false });
}

/** Passes `bytes` on, then nothing more: `cut` is called once what was passed on has had time to leave. */
function cutAfter(bytes: number, cut: () => void, lingerMs = 10): Transform {
  let left = bytes;
  let done = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, next: TransformCallback) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      next(null, part.length > 0 ? part : undefined);
      if (left > 0 || done) return;
      done = true;
      setTimeout(cut, lingerMs);
    },
    flush(next) {
      if (!done) setTimeout(cut, lingerMs);
      next();
    },
  });
}

/** Changes the byte at `position`; a body that ends before it passes unchanged. */
function flipByte(position: number): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, next: TransformCallback) {
      const at = position - passed;
      passed += chunk.length;
      if (at < 0 || at >= chunk.length) return next(null, chunk);
      const changed = Buffer.from(chunk);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      next(null, changed);
    },
  });
}

function reset(response: ServerResponse): void {
  const { socket } = response;
  if (socket instanceof Socket && !socket.destroyed) socket.resetAndDestroy();
}

/** Ends the connection in good order (FIN), in the middle of the body. */
function hangUp(response: ServerResponse): void {
  response.socket?.end();
}

async function closeAll(server: Server, agent: Agent): Promise<void> {
  agent.destroy();
  server.closeAllConnections();
  if (server.listening) await new Promise((done) => server.close(done));
}
