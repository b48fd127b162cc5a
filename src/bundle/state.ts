/** What a repository's config remembers of bundles: its table, and how far it has come. */

import { getConfig, readConfig, setConfig, unsetConfig } from "../repo/config.js";
import type { Setting } from "../repo/config-text.js";
import type { Repository } from "../repo/git.js";
import type { BundleTable } from "./table.js";

/** The URL of the table that `git odb bundle fetch` reads. */
const tableKey = "bundle.tableOfContents";

/** The timestamp up to which all bundles of a `bundles.json` are in the repository. */
const timestampKey = "bundle.latestTimestamp";

/** git's own keys (git-config(1), git 2.40 and later): with these its `git fetch` goes on from where we stopped. */
const uriKey = "fetch.bundleURI";
const tokenKey = "fetch.bundleCreationToken";

/** The table that was read last, by us or, as its bundle list, by git. */
export async function rememberedTable(repo: Repository): Promise<string | undefined> {
  return (await getConfig(repo, tableKey)) ?? (await getConfig(repo, uriKey));
}

/** What a repository's config says that is of use here. */
export interface BundleConfig {
  /** Last value of each key. */
  readonly values: ReadonlyMap<string, string | undefined>;
  /** Whether a remote has promised objects that may be missing here. */
  readonly isPartial: boolean;
}

/** Reads the config, once a run. */
export async function readBundleConfig(repo: Repository): Promise<BundleConfig> {
  const values = new Map((await readConfig(repo)).map(({ key, value }) => [key, value]));
  const promise = /^(?:remote\..*\.(?:promisor|partialclonefilter)|extensions\.partialclone)$/s;
  return { values, isPartial: [...values.keys()].some((key) => promise.test(key)) };
}

/** The config of a new repository that is to read this table, as {@link Mark.begin} would write it. */
export function newBundleConfig(
  url: string,
  { form }: BundleTable,
  isPartial: boolean,
): BundleConfig & { readonly settings: readonly Setting[] } {
  const settings: readonly Setting[] = [
    [tableKey, url],
    ...(form === "list" ? [[uriKey, url] as const] : []),
  ];
  const values = new Map(settings.map(([key, value]) => [key.toLowerCase(), value]));
  return { settings, values, isPartial };
}

/** How far a repository has come with a table. */
export class Mark {
  /** The timestamp up to which it had all bundles when the run began; 0 when the table is another than before. */
  readonly start: number;
  readonly #repo: Repository;
  readonly #url: string;
  readonly #values: BundleConfig["values"];
  readonly #isList: boolean;
  readonly #key: string;

  constructor(repo: Repository, url: string, { form }: BundleTable, { values }: BundleConfig) {
    this.#repo = repo;
    this.#url = url;
    this.#values = values;
    this.#isList = form === "list";
    this.#key = this.#isList ? tokenKey : timestampKey;
    const held = Number(values.get(this.#key.toLowerCase()) ?? 0);
    const isSame = values.get((this.#isList ? uriKey : tableKey).toLowerCase()) === url;
    this.start = isSame && Number.isSafeInteger(held) && held > 0 ? held : 0;
  }

  /** Remembers the table. A mark belongs to its table: none is ever seen beside another's URL. */
  async begin(): Promise<void> {
    await this.#remember(tableKey, timestampKey);
    if (this.#isList) await this.#remember(uriKey, tokenKey);
  }

  /** Remembers how far it has come: only what is in the repository. */
  async reach(timestamp: number): Promise<void> {
    await setConfig(this.#repo, this.#key, String(timestamp));
  }

  async #remember(key: string, markKey: string): Promise<void> {
    if (this.#values.get(key.toLowerCase()) === this.#url) return;
    if (this.#values.has(markKey.toLowerCase())) await unsetConfig(this.#repo, markKey);
    await setConfig(this.#repo, key, this.#url);
  }
}
