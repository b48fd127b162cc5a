/** A store as a promisor remote: no refs, but every object that it has, by its id. */

import { OdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
import { startProgress } from "../progress.js";
import type { ObjectStore } from "../store/store.js";
import { fetchObjects } from "./fetch.js";
import type { Remote, RemoteContext } from "./remote.js";

/** Closing the remote closes the store. @param hash of the store's objects, where its settings say it */
export function storeRemote(context: RemoteContext, store: ObjectStore, hash?: HashAlgorithm): Remote {
  const refuse = (what: string) =>
    new OdbError("unsupported", `${store.name} is a store of objects, not a repository: it takes no ${what}`);
  return {
    async list(_, forPush) {
      if (forPush) throw refuse('push; "git odb push" sends objects to it');
      return { hash: hash ?? (await repositoryHash(context)), refs: [] };
    },

    async fetch(wants, options) {
      if (context.places === undefined)
        throw new OdbError("config", "a fetch needs a repository to write into");
      const shown = options.progress && options.verbosity > 0;
      const output = shown ? context.stderr : nowhere;
      const progress = startProgress("Fetching objects", wants.length, { output, shown });
      const { missing, bad } = await fetchObjects(
        store,
        wants.map(({ oid }) => oid),
        context.places.objectsDir,
        {
          signal: context.signal,
          onBad: (_oid, error) => context.warn(`${error.message} (in ${store.name}): not installed`),
          progress,
        },
      ).finally(() => progress.finish());
      return { complete: missing.length === 0 && bad.length === 0 };
    },

    push: async () => {
      throw refuse("push");
    },
    close: () => store.close(),
  };
}

/** In place of stderr, which takes 1 to 2 ms to be made. */
const nowhere = { write() {} };

/** git refuses a remote of another hash than the repository's, even without refs. */
async function repositoryHash({ places }: RemoteContext): Promise<HashAlgorithm> {
  if (places === undefined) return "sha1";
  const { runGit } = await import("../repo/process.js");
  const { stdout } = await runGit(["rev-parse", "--show-object-format"], { okStatus: [0, 128] });
  return stdout.toString().trim() === "sha256" ? "sha256" : "sha1";
}
