/** git's own `git http-backend` behind node:http: a real smart-HTTP server for clones, fetches and pushes. */

import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { git } from "./git.js";

/** How the server behaves. */
export interface GitHttpOptions {
  /** `user:password`: 401 without it. Pushes are then allowed, without `http.receivepack` in the repository. */
  readonly basicAuth?: string;
  /** More for the environment of `git http-backend`. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A running server. */
export interface GitHttpServer extends AsyncDisposable {
  /** Without a final `/`; a repository is `<url>/<path below root>`. */
  readonly url: string;
  /** `GET /path?query`, every request so far; a test may empty it. */
  readonly seen: string[];
  /** Bytes of all requests' bodies so far. */
  received(): number;
  close(): Promise<void>;
}

/** Serves the repositories below `root` on a free loopback port (git-http-backend(1)). */
export async function startGitHttp(root: string, options: GitHttpOptions = {}): Promise<GitHttpServer> {
  const seen: string[] = [];
  let received = 0;
  const backend = `${git(["--exec-path"])}/git-http-backend`;
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    const { basicAuth } = options;
    if (basicAuth !== undefined && request.headers.authorization !== `Basic ${btoa(basicAuth)}`) {
      request.resume();
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("authenticate\n");
      return;
    }
    runBackend(backend, cgiEnvironment(root, options, request), request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const close = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((done) => server.close(done));
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, seen, received: () => received, close, [Symbol.asyncDispose]: close };
}

/** The variables of RFC 3875 that git-http-backend(1) reads. */
function cgiEnvironment(root: string, options: GitHttpOptions, request: IncomingMessage): NodeJS.ProcessEnv {
  const { pathname, search } = new URL(request.url ?? "/", "http://x");
  const { headers } = request;
  return {
    ...process.env,
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: "1",
    REQUEST_METHOD: request.method,
    PATH_INFO: decodeURIComponent(pathname),
    QUERY_STRING: search.slice(1),
    CONTENT_TYPE: headers["content-type"] ?? "",
    REMOTE_ADDR: request.socket.remoteAddress,
    ...(options.basicAuth === undefined ? {} : { REMOTE_USER: options.basicAuth.split(":", 1)[0] }),
    ...(headers["content-length"] === undefined ? {} : { CONTENT_LENGTH: headers["content-length"] }),
    ...(headers["content-encoding"] === undefined
      ? {}
      : { HTTP_CONTENT_ENCODING: headers["content-encoding"] }),
    ...(typeof headers["git-protocol"] === "string" ? { GIT_PROTOCOL: headers["git-protocol"] } : {}),
    ...options.env,
  };
}

function runBackend(
  backend: string,
  env: NodeJS.ProcessEnv,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const child = spawn(backend, [], { env, stdio: ["pipe", "pipe", "inherit"] });
  // A backend may end without reading all that was sent; its answer counts.
  child.stdin.on("error", () => {});
  request.pipe(child.stdin);
  response.on("close", () => child.kill());
  let head = Buffer.alloc(0);
  const readHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    child.stdout.off("data", readHead);
    writeHead(head.toString("latin1", 0, end), response);
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on("data", readHead);
  child.on("close", () => {
    if (!response.headersSent) response.writeHead(500).end("git http-backend gave no answer\n");
  });
}

function writeHead(head: string, response: ServerResponse): void {
  let status = 200;
  for (const line of head.split("\r\n")) {
    const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
    if (name.toLowerCase() === "status") status = Number.parseInt(value, 10);
    else response.appendHeader(name, value);
  }
  response.writeHead(status);
}
