/** Opens the remote that a bucket is: a store that answers lazy fetches, or a whole repository. */

import { openBucket } from "../bucket/open.js";
import type { CredentialProvider } from "../bucket/options.js";
import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import { openStore, storeOn } from "../store/open.js";
import { readSettings } from "../store/settings.js";
import type { Remote, RemoteContext } from "./remote.js";
import { storeRemote } from "./store-remote.js";

/**
 * Looks what the bucket holds. A bucket without settings of ours is taken for a store.
 *
 * @throws OdbError as `openBucket` and `openStoreOn`
 */
export async function openRemote(context: RemoteContext): Promise<Remote> {
  const { url, signal } = context;
  const { layout } = parseBucketUrl(url);
  const options = { credentials: lazyCredentials(), concurrency: CONCURRENCY };
  if (layout === "list") return storeRemote(context, await openStore(url, options));
  const bucket = await openBucket(url, options);
  try {
    const settings = await readSettings(bucket, { signal });
    if (settings?.kind === "repository") {
      throw new OdbError("unsupported", `${bucket.name} holds a repository, which this version cannot read`);
    }
    const store = await storeOn(bucket, settings, { signal, ...(layout !== undefined && { layout }) });
    return storeRemote(context, store, settings?.hash);
  } catch (error) {
    await bucket.close();
    throw error;
  }
}

/** Requests at the same time: nothing else goes on in this process, and git waits for it. */
const CONCURRENCY = 48;

/** `git credential`, its code loaded when a server asks for one. */
function lazyCredentials(): CredentialProvider {
  const load = async () => (await import("../repo/credential.js")).gitCredentials();
  return {
    fill: async (url) => (await load()).fill(url),
    approve: async (url, credential) => (await load()).approve(url, credential),
    reject: async (url, credential) => (await load()).reject(url, credential),
  };
}
