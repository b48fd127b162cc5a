/** One HTTP client a server, for a table and all its bundles: connections are kept, and a user is asked once. */

import { type HttpClient, httpClient } from "../bucket/http-client.js";
import type { CredentialProvider } from "../bucket/options.js";

/** The clients of a run. Disposing of it closes their connections. */
export class HttpClients implements Disposable {
  readonly #clients = new Map<string, HttpClient>();
  readonly #credentials: CredentialProvider | undefined;

  /** @param credentials for each server by the first URL that is asked of it */
  constructor(credentials?: CredentialProvider) {
    this.#credentials = credentials;
  }

  /** The client of this URL's server. */
  of(url: URL): HttpClient {
    const client = this.#clients.get(url.origin) ?? httpClient(url, { credentials: this.#credentials });
    this.#clients.set(url.origin, client);
    return client;
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.close();
  }
}
