/** The ordinary repository (a work tree, its `.git` folder, nothing unusual) found without a process of its own. */

import { lstatSync, readFileSync, realpathSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { type ConfigEntry, configCommand, parseConfig } from "./config.js";
import { type Repository, repositoryAt } from "./git.js";
import { type GitOutput, runGitAtOnce } from "./process.js";

/** What moves a repository's parts elsewhere, or changes how git looks for it: then git itself is asked. */
const unusual = [
  "GIT_COMMON_DIR",
  "GIT_OBJECT_DIRECTORY",
  "GIT_WORK_TREE",
  "GIT_IMPLICIT_WORK_TREE",
  "GIT_CEILING_DIRECTORIES",
  "GIT_DISCOVERY_ACROSS_FILESYSTEM",
  "GIT_REFERENCE_BACKEND",
];

/** Extensions that change nothing of where things lie. Others (another hash, another ref storage) are git's to tell. */
const harmless = new Set(["noop", "preciousobjects", "partialclone", "worktreeconfig", "relativeworktrees"]);

/**
 * Opens the repository around `cwd` by looking for it as git does, for a helper that lives for one question: a git
 * process costs 4 to 6 ms of 40, and the one that reads the config is needed anyway. It is run here, confirms what was
 * found, and is not run again by the first `readConfig`.
 *
 * @returns undefined when anything is out of the ordinary: a bare repository, a linked worktree, a submodule, a symbolic
 *   link, another owner, variables of the environment, extensions. Then `openRepository` asks git.
 */
export function openPlainRepository(cwd: string = process.cwd()): Repository | undefined {
  const top = findTop(cwd);
  if (top === undefined) return undefined;
  const gitDir = join(top, ".git");
  const output = runConfig(cwd);
  if (output === undefined) return undefined;
  const repo = repositoryAt(
    {
      gitDir,
      commonDir: gitDir,
      objectsDir: join(gitDir, "objects"),
      workTree: top,
      bare: false,
      hash: "sha1",
    },
    new Map([[configCommand.join("\0"), Promise.resolve(output)]]),
  );
  return isPlain(parseConfig(output.stdout, repo)) ? repo : undefined;
}

/** The top of the work tree; undefined in doubt. */
function findTop(cwd: string): string | undefined {
  const { env } = process;
  if (process.geteuid === undefined || unusual.some((name) => env[name] !== undefined)) return undefined;
  try {
    const here = realpathSync.native(cwd);
    // git's own commands set it so, at the top of the work tree.
    if (env.GIT_DIR !== undefined) {
      const isTop = env.GIT_DIR === ".git" || env.GIT_DIR === join(here, ".git");
      return isTop && isPlainTop(here) ? here : undefined;
    }
    return climb(here);
  } catch {
    // Unreadable, or changing under our eyes: git will say what is wrong.
    return undefined;
  }
}

/** The first folder upwards that has a `.git`. A `HEAD` on the way may be a bare repository's. */
function climb(from: string): string | undefined {
  const { dev } = lstatSync(from);
  for (let at = from; ; at = dirname(at)) {
    if (lstatSync(at).dev !== dev || found(join(at, "HEAD"))) return undefined;
    if (found(join(at, ".git"))) return isPlainTop(at) ? at : undefined;
    if (at === dirname(at)) return undefined;
  }
}

/** Whether `.git` is a folder of ours that has all that git looks for in a repository, and its refs as files. */
function isPlainTop(top: string): boolean {
  const gitDir = join(top, ".git");
  const own = (stats: Stats | undefined) =>
    stats?.isDirectory() === true && stats.uid === process.geteuid?.();
  if (!own(found(top)) || !own(found(gitDir)) || found(join(gitDir, "commondir"))) return false;
  const folders = ["objects", "refs", "refs/heads"].map((name) => found(join(gitDir, name)));
  const files = ["HEAD", "config"].map((name) => found(join(gitDir, name)));
  if (!folders.every((stats) => stats?.isDirectory()) || !files.every((stats) => stats?.isFile()))
    return false;
  return /^(?:ref: refs\/|[0-9a-f]{40}\n?$)/.test(readFileSync(join(gitDir, "HEAD"), "latin1"));
}

function found(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function runConfig(cwd: string): GitOutput | undefined {
  try {
    return runGitAtOnce(configCommand, { cwd });
  } catch {
    // The way by `openRepository` runs it again, and tells.
    return undefined;
  }
}

/** Whether git has read this repository's own config, and nothing in it moves the work tree or another part. */
function isPlain(entries: readonly ConfigEntry[]): boolean {
  const own = entries.some(({ scope }) => scope === "repository");
  return own && entries.every(isUsual);
}

function isUsual({ key, value }: ConfigEntry): boolean {
  if (key === "core.bare") return value === "false";
  if (key === "core.repositoryformatversion") return value === "0" || value === "1";
  if (key === "extensions.refstorage") return value === "files";
  if (key.startsWith("extensions.")) return harmless.has(key.slice("extensions.".length));
  return key !== "core.worktree";
}
