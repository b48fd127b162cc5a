/** Several HTTP servers behind one address: which of them is asked, the path says. */

import { createServer, type IncomingMessage, request as sendRequest } from "node:http";
import type { AddressInfo } from "node:net";

/** A running front. */
export interface Front extends AsyncDisposable {
  /** Without a final `/`. */
  readonly url: string;
}

/** @param where the URL that a request is passed on to, its headers as they are; undefined: 404 */
export async function startFront(where: (request: IncomingMessage) => string | undefined): Promise<Front> {
  const server = createServer((request, response) => {
    const url = where(request);
    if (url === undefined) {
      request.resume();
      response.writeHead(404).end();
      return;
    }
    const { method, headers } = request;
    const passed = sendRequest(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
