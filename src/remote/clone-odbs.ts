/** Sets a fresh clone up for the ODBs that its metadata refs tell of, as far as the user accepts their stores. */

import { toOdbError } from "../errors.js";
import { readOdbConfig } from "../odb/config.js";
import { configurePromisor } from "../odb/promisor-remote.js";
import { knownOdbs, type PublishedSettings, publishedRef, readPublished } from "../odb/published.js";
import { configureOdb } from "../odb/setup.js";
import { helperKindOf, parseStoreUrl } from "../odb/store-url.js";
import { setConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";

/** An ODB that a remote proposes. */
export type ProposedOdb = PublishedSettings;

/** The ODBs of a clone. */
export interface CloneOdbs {
  /** Configured now, by what is published or by the user's own config. */
  readonly usable: readonly string[];
  /** Known by their refs only. */
  readonly unusable: readonly string[];
}

/** What is asked and told. */
export interface SetUpHooks {
  accept(proposed: ProposedOdb): Promise<boolean>;
  warn(line: string): void;
}

/** Configures what is accepted. Settings that cannot be understood are refused with a warning; the clone goes on. */
export async function setUpOdbs(repo: Repository, hooks: SetUpHooks): Promise<CloneOdbs> {
  const usable: string[] = [];
  const unusable: string[] = [];
  for (const name of await knownOdbs(repo)) {
    const isUsable = (await isConfigured(repo, name)) || (await setUp(repo, name, hooks));
    (isUsable ? usable : unusable).push(name);
  }
  return { usable, unusable };
}

/** The user's own config may know it already (`git -c odb.<name>.url=…`, or ~/.gitconfig). */
async function isConfigured(repo: Repository, name: string): Promise<boolean> {
  const config = (await readOdbConfig(repo)).get(name);
  if (config === undefined || config.urls.length === 0) return false;
  await configurePromisor(repo, config);
  return true;
}

async function setUp(repo: Repository, name: string, hooks: SetUpHooks): Promise<boolean> {
  const then = `run "git odb init ${name} <url>" in the clone`;
  const settings = await readPublished(repo, name).catch((error: unknown) => {
    const failure = toOdbError(error);
    if (failure.code !== "invalid") throw failure;
    return failure;
  });
  if (settings instanceof Error) {
    hooks.warn(`${settings.message}; if you know the store, ${then}`);
    return false;
  }
  if (settings === undefined) {
    hooks.warn(`the remote tells of ODB "${name}" but of no store (${publishedRef(name)}): ${then}`);
    return false;
  }
  if (!(await hooks.accept(settings))) return false;
  await configure(repo, settings);
  return true;
}

async function configure(repo: Repository, { name, urls, minSize }: PublishedSettings): Promise<void> {
  const stores = urls.map(parseStoreUrl);
  const kind = helperKindOf(stores.map((store) => store.kind));
  await configureOdb(repo, { name, urls: stores.map(({ url }) => url), kind, mode: "subprocess" });
  if (minSize !== undefined) await setConfig(repo, `odb.${name}.minSize`, String(minSize));
}
