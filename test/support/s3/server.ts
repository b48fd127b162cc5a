/** The embedded S3 server's HTTP side: authenticate, misbehave as told, run the operation, answer. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { BrokenConnection, beforehand, brokenBody, FaultBox, refuseByHeaders } from "./faults.js";
import { operationOf, operations, parseRequest } from "./router.js";
import { type Account, verifySignature } from "./sigv4.js";
import { ServerState } from "./state.js";
import {
  type FaultRule,
  type Faults,
  type RequestRecord,
  S3Error,
  type S3Request,
  type S3Response,
} from "./types.js";
import { document } from "./xml.js";

/** A server that is not listening yet. */
export interface EmbeddedServer {
  readonly http: Server;
  setFaults(faults: Faults): void;
  /** The requests since the last call. */
  takeRequests(): RequestRecord[];
  createBucket(name: string): void;
}

/** @param directory where bodies that are not small are kept; the caller removes it */
export function embeddedServer(directory: string, account: Account): EmbeddedServer {
  const state = new ServerState(directory);
  const box = new FaultBox();
  let requests: RequestRecord[] = [];
  const listener = (message: IncomingMessage, response: ServerResponse) => {
    serve(message, response).catch((error) => {
      if (!(error instanceof BrokenConnection) && !isBrokenPeer(error)) console.error(error);
      response.socket?.destroy();
    });
  };
  // A client that waits for 100 Continue is told to go on only when its body is wanted.
  const http = createServer(listener).on("checkContinue", listener);
  http.keepAliveTimeout = 60_000;
  http.requestTimeout = 0;

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    let rule: FaultRule | undefined;
    let waiting = message.headers.expect === "100-continue";
    const late = {
      [Symbol.asyncIterator]() {
        if (waiting) response.writeContinue();
        waiting = false;
        return brokenBody(message, rule);
      },
    };
    const request = parseRequest(message, late);
    const operation = operationOf(request) ?? "Unknown";
    rule = box.take(operation, request.key);
    if (state.faults.latencyMs) await sleep(state.faults.latencyMs);
    const answer = await run(request, operation, rule).catch((error) => errorAnswer(request, error));
    requests.push({
      operation,
      key: request.key,
      query: message.url?.split("?")[1] ?? "",
      status: answer.status,
    });
    if (rule?.kind === "lostAnswer") throw new BrokenConnection();
    response.setHeader("date", new Date(state.now()).toUTCString());
    if (waiting) response.setHeader("connection", "close");
    await send(message, response, answer, rule);
  }

  async function run(
    request: S3Request,
    operation: string,
    rule: FaultRule | undefined,
  ): Promise<S3Response> {
    const signed = verifySignature(request, account, state.now());
    if (operation === "CreateBucket") {
      state.createBucket(request.bucket);
      return { status: 200 };
    }
    const bucket = state.bucket(request.bucket);
    const code = operations[operation];
    if (!code) throw new S3Error(501, "NotImplemented", `${request.method} ${request.rawPath}`);
    refuseByHeaders(request, operation, state.faults);
    return (await beforehand(rule)) ?? code({ state, bucket, request, signed });
  }

  return {
    http,
    setFaults(faults) {
      state.setFaults(faults);
      box.set(faults);
    },
    takeRequests() {
      const taken = requests;
      requests = [];
      return taken;
    },
    createBucket: (name) => state.createBucket(name),
  };
}

function errorAnswer(request: S3Request, error: unknown): S3Response {
  if (!(error instanceof S3Error)) throw error;
  const body = document("Error", { Code: error.code, Message: error.message, Resource: request.rawPath });
  const silent = request.method === "HEAD" || error.status === 304;
  return { status: error.status, headers: error.headers, ...(!silent && { body }) };
}

async function send(
  message: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: S3Response,
  rule: FaultRule | undefined,
): Promise<void> {
  // What the operation left unread, so that the client can finish sending and read the answer.
  message.resume();
  if (body === undefined || typeof body === "string") {
    if (body !== undefined) response.setHeader("content-type", "application/xml");
    const length = message.method === "HEAD" ? {} : { "content-length": Buffer.byteLength(body ?? "") };
    response.writeHead(status, { ...(status === 204 || status === 304 ? {} : length), ...headers });
    response.end(body);
    return;
  }
  response.writeHead(status, headers);
  const limit = rule?.kind === "reset" || rule?.kind === "truncate" ? (rule.afterBytes ?? 0) : body.size;
  let left = limit;
  const closed = once(response, "close");
  for await (const chunk of body.content) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (response.destroyed) return;
    if (!response.write(part)) await Promise.race([drained(response), closed]);
    if (left === 0) break;
  }
  if (limit === body.size) response.end();
  else await breakOff(response, rule);
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once("drain", resolve));
}

/** Ends the connection inside a body: by FIN for `truncate`, as hard as it goes for `reset`. */
async function breakOff(response: ServerResponse, rule: FaultRule | undefined): Promise<void> {
  response.flushHeaders();
  await sleep(5);
  if (rule?.kind === "truncate") response.socket?.end();
  else response.socket?.resetAndDestroy();
}

function isBrokenPeer(error: unknown): boolean {
  return ["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE"].includes(
    (error as NodeJS.ErrnoException).code ?? "",
  );
}
