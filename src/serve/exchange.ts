/** One request and the connection it came by: reading its body, sending its answer, never waiting for ever. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { Answer } from "./answer.js";

/** A request on its way through the server. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  /** How long the client may let us wait for its next bytes, or for room to send it some, in milliseconds. */
  readonly idleMs: number;
}

/** The target of a request: the path as it stands on the wire, the query decoded. */
export interface Target {
  /** Starts with `/`; still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** What a client still sends of a refused body is dropped for so long, so that it can read the refusal. */
const LINGER_MS = 2000;

/** Splits a request target; no normalisation, so that `..` and `//` are seen by who checks keys. */
export function parseTarget(url: string): Target {
  const at = url.indexOf("?");
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) };
}

/**
 * The body, as it arrives. The client is told to go on if it waits for that (`Expect: 100-continue`).
 *
 * @throws OdbError aborted, when the connection ends first or nothing comes for the idle time
 */
export async function* receive({ request, response, idleMs }: Exchange): Content {
  if (request.headers.expect !== undefined) response.writeContinue();
  // The connection must outlive a reader that stops early: it still carries the answer.
  const chunks: AsyncIterator<Uint8Array> = request.iterator({ destroyOnReturn: false });
  for (;;) {
    const step = await within(idleMs, nextChunk(chunks));
    if (step.done) return;
    yield step.value;
  }
}

/**
 * Sends the answer. A body that fails on its way ends the connection, so that nobody takes it for whole; one that
 * fails before a byte has left is thrown, to be answered otherwise.
 */
export async function send(exchange: Exchange, answer: Answer): Promise<void> {
  const { request, response } = exchange;
  const { status, headers, body } = answer;
  const length = typeof body === "string" ? { "content-length": Buffer.byteLength(body) } : {};
  const start = () => {
    const all = { ...alwaysSent, ...length, ...keptOpen(request), ...headers };
    if (!response.headersSent) response.writeHead(status, all);
    return response;
  };
  if (request.method === "HEAD" || body === undefined) start().end();
  else if (typeof body === "string") start().end(body);
  else await sendContent(exchange, body, start);
  if (!request.complete) linger(exchange);
}

const alwaysSent = {
  "x-odb-dialect": "1",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

/**
 * A request that asked for leave to send its body and is refused: node would cut the connection at once, and a
 * client (or a proxy) that is sending all the same would see a reset instead of the answer.
 */
function keptOpen(request: IncomingMessage): { connection?: string } {
  return request.headers.expect === undefined || request.complete ? {} : { connection: "keep-alive" };
}

async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (error) {
    throw new OdbError("aborted", "the connection ended inside the request", { cause: error });
  }
}

/**
 * One chunk is held back until the next is there: small content leaves in one write with the header, and content
 * that turns out wrong at its end (size, hash) is never complete on the wire.
 */
async function sendContent(exchange: Exchange, content: Content, start: () => ServerResponse): Promise<void> {
  const { response, signal, idleMs } = exchange;
  let held: Uint8Array | undefined;
  try {
    for await (const chunk of content) {
      if (signal.aborted) throw new OdbError("aborted", "the client went away");
      if (held !== undefined && !start().write(held)) await within(idleMs, drained(response));
      held = chunk;
    }
  } catch (error) {
    if (response.headersSent) response.destroy();
    throw error;
  }
  if (held === undefined) start().end();
  else start().end(held);
}

/** Resolves when there is room again, or nobody left to send to. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
    if (response.destroyed) done();
  });
}

/** @throws OdbError aborted, when the client keeps us waiting longer */
async function within<T>(milliseconds: number, waiting: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new OdbError("aborted", "the client stalled")), milliseconds);
  });
  try {
    return await Promise.race([waiting, stalled]);
  } finally {
    clearTimeout(timer);
  }
}

/** node drops the rest of an unread body once the answer is out; here it is told for how long. */
function linger({ request }: Exchange): void {
  const { socket } = request;
  const timer = setTimeout(() => {
    if (!request.complete) socket.destroy();
  }, LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
  request.once("end", () => clearTimeout(timer));
}
