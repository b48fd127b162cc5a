/**
 * The HTTP example server of the patch series in the shape that its clients see: Apache in front of two scripts.
 * Answers are chunked, without Content-Length; nothing is verified; files are `<oid>-<size>-<type>`; there is no
 * listing before the first upload. It does not delete.
 */

import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/** A running server. */
export interface CgiServer extends AsyncDisposable {
  /** Without a final `/`. */
  readonly url: string;
  /** `GET /list/?sha1=…`, every request so far; a test may empty it. */
  readonly seen: string[];
  /** Changes a byte of the file of an object. */
  corrupt(oid: string): void;
  close(): Promise<void>;
}

/** How the server behaves. */
export interface CgiServerOptions {
  /** Answers 405 to HEAD. */
  readonly noHead?: boolean;
  /** 403 to everything. */
  readonly denied?: boolean;
}

interface Files {
  readonly directory: string;
  /** File of each id. */
  readonly names: Map<string, string>;
}

/** Serves `<directory>/files` on a free loopback port. */
export async function startCgiServer(directory: string, options: CgiServerOptions = {}): Promise<CgiServer> {
  const seen: string[] = [];
  const files: Files = { directory: join(directory, "files"), names: new Map() };
  const server = createServer(async (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://x");
    if (options.denied) finish(request, response, 403);
    else if (options.noHead && request.method === "HEAD") finish(request, response, 405);
    else if (pathname === "/list/") await list(files, searchParams, request, response);
    else if (pathname === "/upload/") await upload(files, searchParams, request, response);
    else finish(request, response, 404);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const close = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((done) => server.close(done));
  };
  const corrupt = (oid: string) => {
    const file = join(files.directory, files.names.get(oid) ?? "");
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, seen, corrupt, close, [Symbol.asyncDispose]: close };
}

async function list(
  { directory, names }: Files,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const sha1 = query.get("sha1");
  const file = sha1 === null ? undefined : names.get(sha1);
  if (!existsSync(directory) || (sha1 !== null && file === undefined)) return finish(request, response, 404);
  request.resume();
  response.writeHead(200, { "transfer-encoding": "chunked" });
  if (request.method === "HEAD") response.end();
  else if (file === undefined) response.end(readdirSync(directory).map(lineOf).join(""));
  else await pipeline(createReadStream(join(directory, file)), response).catch(() => {});
}

async function upload(
  { directory, names }: Files,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const oid = query.get("sha1") ?? "";
  const name = `${oid}-${query.get("size")}-${query.get("type")}`;
  mkdirSync(directory, { recursive: true });
  names.set(oid, name);
  await pipeline(request, createWriteStream(join(directory, name))).catch(() => {});
  finish(request, response, 204);
}

function lineOf(name: string): string {
  return `${name.replaceAll("-", " ")}\n`;
}

function finish(request: IncomingMessage, response: ServerResponse, status: number): void {
  request.resume();
  response.writeHead(status).end();
}
