/** Opens the remote that a bucket is: a store that answers lazy fetches, or a whole repository. */

import type { Bucket } from "../bucket/bucket.js";
import { openBucket } from "../bucket/open.js";
import type { CredentialProvider } from "../bucket/options.js";
import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import { promisorRemotePrefix } from "../odb/promisor-remote.js";
import { openStore, storeOn } from "../store/open.js";
import { type BucketSettings, readSettings } from "../store/settings.js";
import { indexesOf } from "./indexes.js";
import { noRefs, readRefs } from "./refs-object.js";
import type { Remote, RemoteContext } from "./remote.js";
import { storeRemote } from "./store-remote.js";

/**
 * Opens an ODB of the repository with all its settings: several URLs, its concurrency.
 *
 * @throws OdbError config, when it is not configured
 */
export async function openOdbRemote(context: RemoteContext, name: string): Promise<Remote> {
  const [{ openRepository }, { openOdb }] = await Promise.all([
    import("../repo/git.js"),
    import("../odb/session.js"),
  ]);
  const odb = await openOdb(await openRepository(), name, { warn: context.warn });
  return storeRemote(context, { ...(await odb.store()), close: () => odb.close() }, odb.repo.hash);
}

/**
 * Opens the remote of a URL; what its bucket holds is looked at when git asks for its refs.
 *
 * @throws OdbError as `openBucket` and `openStoreOn`
 */
export async function openRemote(context: RemoteContext): Promise<Remote> {
  const { url } = context;
  const { layout } = parseBucketUrl(url);
  const options = { credentials: lazyCredentials(), concurrency: CONCURRENCY };
  if (layout === "list") return storeRemote(context, await openStore(url, options));
  return bucketRemote(context, await openBucket(url, options), layout);
}

/**
 * A bucket that has refs, or that is pushed to, is a repository; any other, and one without settings of ours, a store.
 * The refs are read first: of a repository in which nothing has changed, a fetch needs nothing else. git lists them for
 * a lazy fetch too, and does not say so before; what is asked for by its own id is looked for as in a store.
 */
function bucketRemote(context: RemoteContext, bucket: Bucket, layout: string | undefined): Remote {
  let chosen: Promise<Remote> | undefined;
  let store: Promise<Remote> | undefined;
  const settings = once(() => readSettings(bucket, { signal: context.signal }));
  const asStore = () => {
    store ??= openStoreRemote(context, bucket, layout, settings);
    return store;
  };
  const choose = async (forPush: boolean): Promise<Remote> => {
    // Asked for along with the refs: a remote that we have set up for an ODB is a store, most probably, and a fetch of
    // what was promised reads a store.
    if (context.name.startsWith(promisorRemotePrefix) || isLazyFetch()) settings().catch(() => {});
    const orNothing = (error: unknown) => {
      if (!forPush || !isNotMade(bucket, error)) throw error;
      return undefined;
    };
    const nothing = { table: noRefs, etag: undefined, exists: false };
    const snapshot = (await readRefs(bucket, { signal: context.signal }).catch(orNothing)) ?? nothing;
    if (!snapshot.exists) {
      const found = await settings().catch(orNothing);
      if (found === undefined ? !forPush : found.kind === "store") return asStore();
    }
    const { repositoryRemote } = await import("./repository-remote.js");
    return repositoryRemote(context, bucket, snapshot);
  };
  return {
    async list(options, forPush) {
      chosen = choose(forPush);
      return (await chosen).list(options, forPush);
    },
    async fetch(wants, options) {
      const isLazy = options.fromPromisor && wants.every(({ oid, ref }) => ref === oid);
      return (await (isLazy ? asStore() : (chosen ?? choose(false)))).fetch(wants, options);
    },
    push: async (commands, options) => (await (chosen ?? choose(true))).push(commands, options),
    close: () => bucket.close(),
  };
}

/** How git begins such a fetch (promisor-remote.c); anybody else could, too, so no more than a request hangs on it. */
function isLazyFetch(): boolean {
  return /fetch\.negotiationalgorithm'?='?noop/i.test(process.env.GIT_CONFIG_PARAMETERS ?? "");
}

/** A folder that is not there yet can be pushed to: the push makes it. */
function isNotMade(bucket: Bucket, error: unknown): boolean {
  return error instanceof OdbError && error.code === "config" && bucket.create !== undefined;
}

async function openStoreRemote(
  context: RemoteContext,
  bucket: Bucket,
  layout: string | undefined,
  readSettings: () => Promise<BucketSettings | undefined>,
): Promise<Remote> {
  const { signal } = context;
  const settings = await readSettings();
  const indexes = indexesOf(context);
  const how = { signal, ...(indexes && { indexes }), ...(layout !== undefined && { layout }) };
  const store = await storeOn(bucket, settings, how);
  return storeRemote(context, store, settings?.hash);
}

/** A failure is remembered too. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
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
