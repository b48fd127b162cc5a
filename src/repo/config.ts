/** git's configuration: read whole with `git config -z --list`, written key by key. */

import { join, resolve } from "node:path";
import { OdbError } from "../errors.js";
import type { Repository } from "./git.js";

/** One setting, in the order in which git reads them (a later one wins). */
export interface ConfigEntry {
  /** Section and last part in lower case, the subsection as it was written: `odb.Magic.scriptcommand`. */
  readonly key: string;
  /** `undefined` when the key stands alone (`[odb "x"] unsafePush`), which git reads as true. */
  readonly value: string | undefined;
  /**
   * Where it stands: the repository's own files, or anything else that git reads (system, the user's, the
   * command line). By the origin git names: a `--show-scope` is only in git 2.26 and later.
   */
  readonly scope: "repository" | "command" | "other";
}

/** The command of {@link readConfig}, for `openRepository` to start ahead. */
export const configCommand: readonly string[] = ["config", "-z", "--includes", "--show-origin", "--list"];

/** Everything git reads, included files too, in order. */
export async function readConfig(repo: Repository): Promise<ConfigEntry[]> {
  const { stdout } = await repo.run(configCommand);
  return parseConfig(stdout, repo);
}

/** Reads what {@link configCommand} printed. */
export function parseConfig(stdout: Buffer, repo: Repository): ConfigEntry[] {
  const fields = stdout.toString().split("\0");
  const entries: ConfigEntry[] = [];
  // origin NUL key LF value NUL; a key that stands alone has no LF.
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [origin = "", setting = ""] = fields.slice(at, at + 2);
    const cut = setting.indexOf("\n");
    const key = cut < 0 ? setting : setting.slice(0, cut);
    entries.push({
      key,
      value: cut < 0 ? undefined : setting.slice(cut + 1),
      scope: scopeOf(origin, repo),
    });
  }
  return entries;
}

/** Where to read or write: the repository's config (default), or the user's. */
export interface ConfigTarget {
  readonly global?: boolean;
}

/** The last value of a key. @returns undefined when it is not set */
export async function getConfig(repo: Repository, key: string): Promise<string | undefined> {
  const { status, stdout } = await repo.run(["config", "-z", "--get", key], { okStatus: [0, 1] });
  return status === 1 ? undefined : stdout.toString().replace(/\0$/, "");
}

/** Sets a key to this one value, whatever number of values it had in that file. @throws OdbError conflict, denied */
export async function setConfig(
  repo: Repository,
  key: string,
  value: string,
  target: ConfigTarget = {},
): Promise<void> {
  await repo.run(["config", scopeFlag(target), "--replace-all", key, value]);
}

/** Adds one more value to a key that may have several. */
export async function addConfig(
  repo: Repository,
  key: string,
  value: string,
  target: ConfigTarget = {},
): Promise<void> {
  await repo.run(["config", scopeFlag(target), "--add", key, value]);
}

/** Takes a key away, all its values. @returns whether it was there */
export async function unsetConfig(
  repo: Repository,
  key: string,
  target: ConfigTarget = {},
): Promise<boolean> {
  const { status } = await repo.run(["config", scopeFlag(target), "--unset-all", key], { okStatus: [0, 5] });
  return status === 0;
}

/** Takes a whole section away (`odb.magic`). @returns whether it was there */
export async function removeConfigSection(
  repo: Repository,
  section: string,
  target: ConfigTarget = {},
): Promise<boolean> {
  const entries = await readConfig(repo);
  if (!entries.some((entry) => entry.scope === "repository" && entry.key.startsWith(`${section}.`)))
    return false;
  await repo.run(["config", scopeFlag(target), "--remove-section", section]);
  return true;
}

/** git's booleans: a key that stands alone is true. @throws OdbError config */
export function parseConfigBoolean(key: string, value: string | undefined): boolean {
  if (value === undefined || /^(?:true|yes|on|0*[1-9][0-9]*)$/i.test(value)) return true;
  if (/^(?:false|no|off|0*|)$/i.test(value)) return false;
  throw new OdbError("config", `config ${key}: ${JSON.stringify(value)} is no boolean: use true or false`);
}

/** git's integers: digits with an optional `k`, `m` or `g` (powers of 1024). @throws OdbError config */
export function parseConfigSize(key: string, value: string | undefined): number {
  const found = /^([0-9]{1,15})([kmg]?)$/i.exec(value?.trim() ?? "");
  const unit = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[found?.[2]?.toLowerCase() ?? ""] ?? 1;
  const size = found ? Number(found[1]) * unit : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new OdbError(
    "config",
    `config ${key}: ${JSON.stringify(value ?? "")} is no size: use bytes, 100k, 8m, 2g`,
  );
}

function scopeFlag(target: ConfigTarget): string {
  return target.global ? "--global" : "--local";
}

function scopeOf(origin: string, repo: Repository): ConfigEntry["scope"] {
  if (origin.startsWith("command line:")) return "command";
  if (!origin.startsWith("file:")) return "other";
  // git names the repository's own file relative to the folder it runs in, or absolute.
  const base = repo.workTree ?? repo.gitDir;
  const path = resolve(base, origin.slice("file:".length));
  const own = [repo.commonDir, repo.gitDir].flatMap((dir) => [
    join(dir, "config"),
    join(dir, "config.worktree"),
  ]);
  return own.includes(path) ? "repository" : "other";
}
