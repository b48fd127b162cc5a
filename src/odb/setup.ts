/** Writes and removes the settings of an ODB in the repository's config, in an order that no git trips over. */

import { OdbError } from "../errors.js";
import {
  addConfig,
  parseConfigSize,
  readConfig,
  removeConfigSection,
  setConfig,
  unsetConfig,
} from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import { redact } from "../trace.js";
import { type GetMode, type OdbConfig, readOdbConfig, requireOdbConfig } from "./config.js";
import { configurePromisor, type PromisorSetup, unconfigurePromisor } from "./promisor-remote.js";

/** What {@link configureOdb} writes. */
export interface OdbSettings {
  readonly name: string;
  /** Without userinfo; several make a tiered store. */
  readonly urls: readonly string[];
  /** `git-odb-helper-<kind>`. */
  readonly kind: HelperKind;
  readonly mode: "subprocess" | "script";
  readonly get?: GetMode | undefined;
}

/** The helpers that there are, by the store they speak to. */
export type HelperKind = "file" | "http" | "s3";

/** Below the reference client's fault: in script mode it sends a wrong second 8 MiB. Ours by this very spelling. */
const SCRIPT_THRESHOLD = "8m";

/** The command of a helper, as it stands in the config. The URL is not in it: the command goes through a shell. */
export function helperCommand(kind: HelperKind, name: string): string {
  return `git-odb-helper-${kind} --name ${name}`;
}

/**
 * Writes the settings. The command comes first: a git with ODB support dies of an ODB that has none. Then the promisor
 * remote, by which a stock git asks the ODB.
 *
 * @throws OdbError conflict, when the ODB has other URLs already
 */
export async function configureOdb(repo: Repository, settings: OdbSettings): Promise<PromisorSetup> {
  const { name, urls, mode, get } = settings;
  const section = `odb.${name}`;
  const [command, other] =
    mode === "script" ? ["scriptCommand", "subprocessCommand"] : ["subprocessCommand", "scriptCommand"];
  const present = await checkConfigurable(repo, name, urls);
  await setConfig(repo, `${section}.${command}`, helperCommand(settings.kind, name));
  await unsetConfig(repo, `${section}.${other}`);
  if (present === undefined || present.urls.length === 0) {
    for (const url of urls) await addConfig(repo, `${section}.url`, url);
  }
  if (get === "git") await unsetConfig(repo, `${section}.get`);
  else if (get !== undefined) await setConfig(repo, `${section}.get`, get);
  await adjustThreshold(repo);
  return await configurePromisor(repo, await requireOdbConfig(repo, name));
}

/**
 * Looks whether the ODB may get these URLs, before anything is done with them.
 *
 * @returns its settings as they are now
 * @throws OdbError conflict, when it has other URLs
 */
export async function checkConfigurable(
  repo: Repository,
  name: string,
  urls: readonly string[],
): Promise<OdbConfig | undefined> {
  const present = (await readOwnConfig(repo)).get(name);
  const found = present?.urls ?? [];
  if (present === undefined || found.length === 0 || found.join("\n") === urls.join("\n")) return present;
  throw new OdbError(
    "conflict",
    `ODB "${name}" has the URL ${found.map(redact).join(" ")} already: run "git odb deinit ${name}" first to give it another`,
  );
}

/** Removes every setting of the ODB. @returns whether there was one */
export async function unconfigureOdb(repo: Repository, name: string): Promise<boolean> {
  await unconfigurePromisor(repo, name);
  const removed = await removeConfigSection(repo, `odb.${name}`);
  if (removed) await adjustThreshold(repo);
  return removed;
}

/** The ODBs as the repository's own config has them: the user's and the command line's left out. */
async function readOwnConfig(repo: Repository): Promise<Map<string, OdbConfig>> {
  const entries = await readConfig(repo);
  return readOdbConfig(
    repo,
    entries.filter(({ scope }) => scope === "repository"),
  );
}

/** Keeps big files from a script helper, as long as there is one; a lower threshold of the user's is kept. */
async function adjustThreshold(repo: Repository): Promise<void> {
  const key = "core.bigFileThreshold";
  const entries = await readConfig(repo);
  const set = entries.findLast((entry) => entry.key === key.toLowerCase());
  const odbs = await readOdbConfig(repo, entries);
  if ([...odbs.values()].some(({ mode }) => mode === "script")) {
    const safe =
      set !== undefined && parseConfigSize(key, set.value) <= parseConfigSize(key, SCRIPT_THRESHOLD);
    if (!safe) await setConfig(repo, key, SCRIPT_THRESHOLD);
  } else if (set?.scope === "repository" && set.value === SCRIPT_THRESHOLD) {
    await unsetConfig(repo, key);
  }
}
