/** The `odb.<name>.*` settings of a repository (docs/configuration.md), read, checked and told apart. */

import { parseSeconds } from "../bucket/silence.js";
import { OdbError } from "../errors.js";
import { type ConfigEntry, parseConfigBoolean, parseConfigSize, readConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import { isOdbName, parseOdbName } from "./name.js";

/** Which form git gets its objects in: `odb.<name>.get`. */
export type GetMode = "git" | "raw" | "direct";

/** The settings of one ODB. */
export interface OdbConfig {
  readonly name: string;
  /** `odb.<name>.url`, in order; several make a tiered store. May be empty: a helper can get its URL by argv. */
  readonly urls: readonly string[];
  readonly subprocessCommand?: string;
  readonly scriptCommand?: string;
  /** Which of the two commands the reference client runs: the later key in the config. */
  readonly mode?: "subprocess" | "script";
  /** Default `git`: the only get that is right at every size. */
  readonly get: GetMode;
  /** To which of several URLs a put goes. Default `first`. */
  readonly write: "first" | "all";
  /** Bytes from which a blob is selected by size too. */
  readonly minSize?: number;
  /** Requests to the store at the same time. */
  readonly concurrency?: number;
  /** Seconds for which the store's server may be silent. */
  readonly timeout?: number;
  /** Allow pushes to a store without conditional writes. Default false. */
  readonly unsafePush: boolean;
}

/** What {@link readOdbConfigs} gives. */
export interface OdbConfigs {
  /** By name, in the order in which git asks them: that of the config. */
  readonly odbs: ReadonlyMap<string, OdbConfig>;
  /** What is wrong with the settings without being an error for us, one line each: for stderr and `doctor`. */
  readonly warnings: readonly string[];
}

/**
 * Reads the settings of every ODB.
 *
 * @param entries what `readConfig` gave, to save a git process
 * @throws OdbError config, when a value of ours cannot be understood
 */
export async function readOdbConfig(
  repo: Repository,
  entries?: readonly ConfigEntry[],
): Promise<Map<string, OdbConfig>> {
  return new Map((await readOdbConfigs(repo, entries)).odbs);
}

/** As {@link readOdbConfig}, with the warnings. */
export async function readOdbConfigs(
  repo: Repository,
  entries?: readonly ConfigEntry[],
): Promise<OdbConfigs> {
  const drafts = new Map<string, Draft>();
  const warnings: string[] = [];
  for (const { key, value } of entries ?? (await readConfig(repo))) {
    const found = /^odb\.(?:(.*)\.)?([^.]*)$/s.exec(key);
    if (found === null) continue;
    const [, name, setting = ""] = found;
    if (name === undefined || !isOdbName(name)) {
      warnings.push(name === undefined ? twoLevelWarning(key) : badNameWarning(name));
      continue;
    }
    const draft = drafts.get(name) ?? { name, urls: [] };
    drafts.set(name, draft);
    readers[setting]?.(draft, value, key);
  }
  const odbs = new Map([...drafts].map(([name, draft]) => [name, finish(draft)]));
  warnings.push(...commandWarnings(odbs));
  return { odbs, warnings };
}

/**
 * The settings of one ODB.
 *
 * @throws OdbError invalid, for an impossible name; config, when the repository has no such ODB
 */
export async function requireOdbConfig(
  repo: Repository,
  name: string,
  entries?: readonly ConfigEntry[],
): Promise<OdbConfig> {
  const odbs = await readOdbConfig(repo, entries);
  const config = odbs.get(parseOdbName(name));
  if (config !== undefined) return config;
  const known = odbs.size === 0 ? "none is" : `configured: ${[...odbs.keys()].join(", ")}`;
  throw new OdbError(
    "config",
    `ODB "${name}" is not configured (${known}): run "git odb init ${name} <url>"`,
  );
}

type Draft = { -readonly [K in keyof OdbConfig]?: OdbConfig[K] } & { name: string; urls: string[] };
type Reader = (draft: Draft, value: string | undefined, key: string) => void;

/** One reader a key, by git's lower-case spelling. Others (the reference client's own, later ones) are left alone. */
const readers: Readonly<Record<string, Reader>> = {
  url(draft, value, key) {
    // As git's own lists: an empty value forgets those before it.
    if (text(value, key) === "") draft.urls = [];
    else draft.urls.push(text(value, key));
  },
  subprocesscommand(draft, value, key) {
    draft.subprocessCommand = text(value, key);
    draft.mode = "subprocess";
  },
  scriptcommand(draft, value, key) {
    draft.scriptCommand = text(value, key);
    draft.mode = "script";
  },
  get(draft, value, key) {
    draft.get = oneOf(["git", "raw", "direct"], value, key);
  },
  write(draft, value, key) {
    draft.write = oneOf(["first", "all"], value, key);
  },
  minsize(draft, value, key) {
    draft.minSize = parseConfigSize(key, value);
  },
  concurrency(draft, value, key) {
    const number = /^[0-9]{1,4}$/.test(value ?? "") ? Number(value) : 0;
    if (number < 1 || number > 1000) {
      throw new OdbError(
        "config",
        `config ${key}: ${JSON.stringify(value ?? "")} is no number from 1 to 1000`,
      );
    }
    draft.concurrency = number;
  },
  timeout(draft, value, key) {
    const seconds = parseSeconds(value ?? "");
    if (seconds === undefined) {
      throw new OdbError(
        "config",
        `config ${key}: ${JSON.stringify(value ?? "")} is no number of seconds from 1 to 86400`,
      );
    }
    draft.timeout = seconds;
  },
  unsafepush(draft, value, key) {
    draft.unsafePush = parseConfigBoolean(key, value);
  },
};

function finish(draft: Draft): OdbConfig {
  return { get: "git", write: "first", unsafePush: false, ...draft };
}

function text(value: string | undefined, key: string): string {
  if (value === undefined)
    throw new OdbError("config", `config ${key} has no value: give it one, or unset it`);
  return value;
}

function oneOf<T extends string>(words: readonly T[], value: string | undefined, key: string): T {
  const word = words.find((each) => each === value);
  if (word !== undefined) return word;
  throw new OdbError(
    "config",
    `config ${key}: ${JSON.stringify(value ?? "")} is none of ${words.join(", ")}`,
  );
}

function twoLevelWarning(key: string): string {
  return `config ${key} has no ODB name in it, and makes a git with ODB support crash: unset it ("git config --unset ${key}")`;
}

function badNameWarning(name: string): string {
  return `config odb.${JSON.stringify(name.slice(0, 80))} is ignored: that is no name for an ODB`;
}

/** The two traps of the reference client: no command (it dies), and two ODBs of one command (one process). */
function commandWarnings(odbs: ReadonlyMap<string, OdbConfig>): string[] {
  const warnings: string[] = [];
  const users = new Map<string, string>();
  for (const { name, subprocessCommand, scriptCommand, mode } of odbs.values()) {
    if (mode === undefined) {
      warnings.push(
        `ODB "${name}" has settings but no command, and makes a git with ODB support die: run "git odb init ${name} <url>"`,
      );
    }
    const command = mode === "subprocess" ? subprocessCommand : scriptCommand;
    const other = command === undefined ? undefined : users.get(command);
    if (other !== undefined) {
      warnings.push(
        `ODBs "${other}" and "${name}" have the same command, so git runs one process for both: add "--name ${name}"`,
      );
    }
    if (command !== undefined) users.set(command, name);
  }
  return warnings;
}
