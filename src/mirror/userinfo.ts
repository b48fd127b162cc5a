/** The user name and password of a URL: used for its own server, and never shown. */

import type { CredentialProvider } from "../bucket/options.js";

/**
 * Takes them out of the URL.
 *
 * @returns undefined when there are none; offered once: a server that refuses them does not get them again
 */
export function takeUserinfo(url: URL): CredentialProvider | undefined {
  if (url.username === "") return undefined;
  const credential = {
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
  url.username = "";
  url.password = "";
  let refused = false;
  return {
    fill: async () => (refused ? undefined : credential),
    approve: async () => {},
    reject: async () => {
      refused = true;
    },
  };
}
