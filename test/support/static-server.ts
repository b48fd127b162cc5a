/** A plain static web server over a folder: GET, HEAD and single ranges, nothing of ours; read-only, no listing. */

import { createReadStream, type Stats, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** How the server behaves. */
export interface StaticServerOptions {
  /** Answers every `Range` with 200 and everything, as some servers do. */
  readonly noRanges?: boolean;
  /** `user:password`: 401 without it. */
  readonly basicAuth?: string;
}

/** A running server. */
export interface StaticServer extends AsyncDisposable {
  /** Of the folder, without a final `/`. */
  readonly url: string;
  /** `GET /path`, every request so far; a test may empty it. */
  readonly seen: string[];
  close(): Promise<void>;
}

/** Serves `directory` on a free loopback port. */
export async function startStaticServer(
  directory: string,
  options: StaticServerOptions = {},
): Promise<StaticServer> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.resume();
    answer(directory, options, request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const close = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((done) => server.close(done));
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, seen, close, [Symbol.asyncDispose]: close };
}

function answer(
  directory: string,
  options: StaticServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { basicAuth } = options;
  if (basicAuth !== undefined && request.headers.authorization !== `Basic ${btoa(basicAuth)}`) {
    response.writeHead(401, { "www-authenticate": 'Basic realm="static"' }).end("no\n");
    return;
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end("read-only\n");
    return;
  }
  const { pathname } = new URL(request.url ?? "/", "http://x");
  const file = join(directory, decodeURIComponent(pathname));
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) response.writeHead(404).end("not found\n");
  else if (!stats.isFile()) response.writeHead(200, { "content-type": "text/html" }).end("<h1>index</h1>\n");
  else sendFile(file, stats, options.noRanges ? undefined : request.headers.range, request, response);
}

function sendFile(
  file: string,
  stats: Stats,
  range: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const common = {
    etag: `W/"${stats.size}-${stats.mtimeMs}"`,
    "last-modified": stats.mtime.toUTCString(),
    "content-type": "application/octet-stream",
  };
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const start = Number(first ?? 0);
  const end = Math.min(last ? Number(last) + 1 : stats.size, stats.size);
  if (first !== undefined && start >= stats.size) {
    response.writeHead(416, { "content-range": `bytes */${stats.size}` }).end();
    return;
  }
  const partial = { "content-range": `bytes ${start}-${end - 1}/${stats.size}` };
  const headers = { ...common, ...(first === undefined ? {} : partial), "content-length": end - start };
  response.writeHead(first === undefined ? 200 : 206, headers);
  if (request.method === "HEAD" || end === start) response.end();
  else createReadStream(file, { start, end: end - 1 }).pipe(response);
}
