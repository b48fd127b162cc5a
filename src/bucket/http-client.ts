/** Requests to one HTTP server: kept-alive connections, bounded redirects, credentials. */

import { Agent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { OdbError } from "../errors.js";
import { httpAuth } from "./http-auth.js";
import { type HttpRequest, type HttpResponse, sendOnce } from "./http-exchange.js";
import type { CredentialProvider } from "./options.js";
import { silenceLimit } from "./silence.js";

/** Options of {@link httpClient}. */
export interface HttpClientOptions {
  readonly credentials?: CredentialProvider | undefined;
  /** As in BucketOptions. */
  readonly idleMs?: number | undefined;
}

/** A client for the server of one base URL. */
export interface HttpClient {
  /** @throws OdbError unavailable, when no answer comes; aborted; whatever the body's source throws */
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Whether the server has wanted credentials. */
  isPrivate(): boolean;
  close(): void;
}

const REDIRECTS = 5;

/** @param base whose origin alone gets credentials */
export function httpClient(base: URL, options: HttpClientOptions = {}): HttpClient {
  const agents = { "http:": new Agent({ keepAlive: true }), "https:": new HttpsAgent({ keepAlive: true }) };
  const auth = httpAuth(base.href, options.credentials);
  const idleMs = silenceLimit(options.idleMs);
  let isPrivate = false;

  const exchange = (request: HttpRequest, url: URL, authorization: string | undefined) => {
    const agent = agents[url.protocol as "http:" | "https:"];
    const headers = {
      "accept-encoding": "identity",
      ...request.headers,
      ...(authorization && { authorization }),
    };
    return sendOnce(request, url, headers, agent, { idleMs });
  };

  return {
    isPrivate: () => isPrivate,

    async send(request) {
      let { url } = request;
      for (let redirects = 0; ; ) {
        const used = url.origin === base.origin ? auth.header() : undefined;
        const response = await exchange(request, url, used);
        if (response.status === 401 && url.origin === base.origin) {
          isPrivate = true;
          if (!(await auth.refused(used, response.headers["www-authenticate"]))) return response;
          response.discard();
          continue;
        }
        await auth.accepted(used);
        const next = redirectOf(request, url, response);
        if (next === undefined) return response;
        response.discard();
        if (++redirects > REDIRECTS) {
          throw new OdbError("unsupported", `${request.what}: more than ${REDIRECTS} redirects`);
        }
        url = next;
      }
    },

    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

/** Where a response sends us; undefined when it is none that does. */
function redirectOf(request: HttpRequest, from: URL, response: HttpResponse): URL | undefined {
  const { status } = response;
  const reads = request.method === "GET" || request.method === "HEAD";
  if (
    !(status === 307 || status === 308 || (reads && (status === 301 || status === 302 || status === 303)))
  ) {
    return undefined;
  }
  // An empty one, too, would only lead back to where we are.
  const location = response.headers.location || undefined;
  const to = location && URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to && (to.protocol === "http:" || to.protocol === "https:") && to.username + to.password === "") {
    if (reads || to.origin === from.origin) return to;
  }
  response.discard();
  throw new OdbError("unsupported", `${request.what}: redirected where it cannot go (HTTP ${status})`);
}
