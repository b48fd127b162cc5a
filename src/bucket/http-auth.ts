/** Credentials of one server: asked for when it wants them, remembered for the run, never sent anywhere else. */

import type { Credential, CredentialProvider } from "./options.js";

/** What a client of one origin knows of its credentials. */
export interface HttpAuth {
  /** The `Authorization` to send, once a credential has been found. */
  header(): string | undefined;
  /**
   * A 401 came for a request sent with `used`.
   *
   * @param challenge the `WWW-Authenticate` header
   * @returns whether another try makes sense: there is a credential that has not been refused
   */
  refused(used: string | undefined, challenge: string | undefined): Promise<boolean>;
  /** A request sent with `used` was let through. */
  accepted(used: string | undefined): Promise<void>;
}

/** @param url what the provider is asked for: the bucket's own URL */
export function httpAuth(url: string, provider: CredentialProvider | undefined): HttpAuth {
  let found: { credential: Credential; header: string; approved: boolean } | undefined;
  let asking: Promise<void> | undefined;
  let gaveUp = provider === undefined;

  const ask = async (challenge: string | undefined) => {
    const credential = await provider?.fill(url);
    if (credential === undefined) gaveUp = true;
    else found = { credential, header: authorization(credential, challenge), approved: false };
  };

  return {
    header: () => found?.header,

    async refused(used, challenge) {
      if (found !== undefined && used === found.header) {
        const { credential } = found;
        found = undefined;
        // One question a run: a second one would ask for the same again, without end.
        gaveUp = true;
        await provider?.reject(url, credential);
      }
      if (found === undefined && !gaveUp) {
        asking ??= ask(challenge).finally(() => {
          asking = undefined;
        });
        await asking;
      }
      return found !== undefined;
    },

    async accepted(used) {
      if (found === undefined || found.approved || used !== found.header) return;
      found.approved = true;
      await provider?.approve(url, found.credential);
    },
  };
}

/** Basic where the server offers it, else the password as a bearer token (RFC 7617, RFC 6750). */
function authorization({ username, password }: Credential, challenge: string | undefined): string {
  const bearerOnly = /\bbearer\b/i.test(challenge ?? "") && !/\bbasic\b/i.test(challenge ?? "");
  if (bearerOnly) return `Bearer ${password}`;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
