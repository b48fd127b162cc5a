/** The repository at hand, as git itself finds it, and git run in it. */

import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { OdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
import {
  type GitOptions,
  type GitOutput,
  type GitProcess,
  gitRecords,
  runGit,
  startGit,
  streamGit,
} from "./process.js";

/** A repository and the ways to run git in it. All paths are absolute. */
export interface Repository {
  /** Of this worktree: `.git`, or `.git/worktrees/<id>` in a linked one. */
  readonly gitDir: string;
  /** Shared by all worktrees: refs, config and our private state live here. */
  readonly commonDir: string;
  /** Where new objects go (`objects`, or git's quarantine while it receives a push). */
  readonly objectsDir: string;
  /** The top of the work tree; absent in a bare repository and inside `.git`. */
  readonly workTree?: string;
  readonly bare: boolean;
  readonly hash: HashAlgorithm;
  /** For messages. */
  readonly name: string;

  /** Runs git to its end. @throws OdbError with git's own last line when its status is not in `okStatus` */
  run(args: readonly string[], options?: GitOptions): Promise<GitOutput>;
  /** As {@link run}: stdout as UTF-8 without its last LF. */
  text(args: readonly string[], options?: GitOptions): Promise<string>;
  /** Stdout as it comes. */
  stream(args: readonly string[], options?: GitOptions): AsyncIterable<Buffer>;
  /** Stdout by lines (or by NUL), as UTF-8, without the separators. */
  runLines(
    args: readonly string[],
    options?: GitOptions & { separator?: "\n" | "\0" },
  ): AsyncIterable<string>;
  /** As {@link runLines}, the bytes: a path need not be UTF-8. */
  runRecords(
    args: readonly string[],
    options?: GitOptions & { separator?: "\n" | "\0" },
  ): AsyncIterable<Buffer>;
  /** Starts a git that lives on. */
  start(args: readonly string[], options?: GitOptions): GitProcess;
}

/** Options of {@link openRepository}. */
export interface OpenRepositoryOptions {
  /**
   * Commands that will be run next, by their arguments: they start at once, beside the search for the repository, and
   * the first `run` of the same arguments gets what they said. A git process costs 3 to 5 ms to wait for.
   */
  readonly ahead?: readonly (readonly string[])[];
}

/**
 * Finds the repository with one `git rev-parse`, which honours GIT_DIR and its kin and works in a subfolder, a
 * linked worktree, a bare repository, and, with GIT_DIR set, outside of it (as during a clone).
 *
 * Every git run in it afterwards gets these folders as absolute paths and starts at the top of the work tree.
 *
 * @throws OdbError config, when there is none
 */
export async function openRepository(
  cwd: string = process.cwd(),
  options: OpenRepositoryOptions = {},
): Promise<Repository> {
  const ahead = startAhead(cwd, options.ahead ?? []);
  // A git that does not know --show-object-format (before 2.29) repeats it, and has SHA-1 only.
  const asked = ["--is-bare-repository", "--show-object-format", "--git-dir", "--git-common-dir"];
  const args = ["rev-parse", ...asked, "--git-path", "objects", "--show-cdup"];
  const { stdout } = await runGit(args, { cwd }).catch((error: unknown) => notARepository(error, cwd));
  const lines = stdout.toString().replace(/\n$/, "").split("\n");
  const [bare, format, gitDir, commonDir, objectsDir, cdup, ...more] = lines;
  if (gitDir === undefined || commonDir === undefined || objectsDir === undefined || more.length > 0) {
    throw new OdbError("unsupported", `${JSON.stringify(cwd)}: cannot work in a path that has a line break`);
  }
  const base = realpathSync(cwd);
  const places: Places = {
    gitDir: resolve(base, gitDir),
    commonDir: resolve(base, commonDir),
    objectsDir: resolve(base, objectsDir),
    bare: bare === "true",
    hash: parseFormat(format),
    // In the work tree: the way up to its top, maybe empty. In a bare repository git prints no line.
    ...(cdup !== undefined && { workTree: resolve(base, cdup) }),
  };
  return repositoryAt(places, ahead);
}

/** What commands said that were started ahead, by their arguments joined with NULs. */
export type Ahead = Map<string, Promise<GitOutput>>;

function startAhead(cwd: string, commands: readonly (readonly string[])[]): Ahead {
  const ahead: Ahead = new Map();
  for (const args of commands) {
    const running = runGit(args, { cwd });
    // Outside of a repository they fail as the search does, which is what gets reported.
    running.catch(() => {});
    ahead.set(args.join("\0"), running);
  }
  return ahead;
}

/** Where the parts of a repository are. */
export type Places = Pick<Repository, "gitDir" | "commonDir" | "objectsDir" | "workTree" | "bare" | "hash">;

/** The repository at these places, which the caller has found to be there. */
export function repositoryAt(places: Places, ahead: Ahead = new Map()): Repository {
  const { gitDir, workTree, objectsDir, commonDir } = places;
  const env: Record<string, string> = { GIT_DIR: gitDir };
  if (workTree !== undefined) env.GIT_WORK_TREE = workTree;
  // Relative values of the environment meant another folder.
  if (process.env.GIT_OBJECT_DIRECTORY) env.GIT_OBJECT_DIRECTORY = objectsDir;
  if (process.env.GIT_COMMON_DIR) env.GIT_COMMON_DIR = commonDir;
  const here = (options: GitOptions = {}): GitOptions => ({
    ...options,
    cwd: options.cwd ?? workTree ?? gitDir,
    env: { ...env, ...options.env },
  });
  const run: Repository["run"] = (args, options) => {
    const key = args.join("\0");
    const begun = options === undefined ? ahead.get(key) : undefined;
    ahead.delete(key);
    return begun ?? runGit(args, here(options));
  };
  const runRecords: Repository["runRecords"] = (args, options = {}) =>
    gitRecords(args, options.separator ?? "\n", here(options));
  return {
    ...places,
    name: workTree ?? gitDir,
    run,
    text: async (args, options) => {
      const { stdout } = await run(args, options);
      return stdout.toString().replace(/\n$/, "");
    },
    stream: (args, options) => streamGit(args, here(options)),
    runRecords,
    runLines: async function* (args, options) {
      for await (const record of runRecords(args, options)) yield record.toString();
    },
    start: (args, options) => startGit(args, here(options)),
  };
}

function parseFormat(text: string | undefined): HashAlgorithm {
  if (text === "sha1" || text === "--show-object-format") return "sha1";
  if (text === "sha256") return "sha256";
  throw new OdbError("unsupported", `the repository's object format is ${text}: expected sha1 or sha256`);
}

function notARepository(error: unknown, cwd: string): never {
  if (error instanceof OdbError && /not a git repository/i.test(error.message)) {
    const where = process.env.GIT_DIR ? `GIT_DIR=${process.env.GIT_DIR}` : cwd;
    throw new OdbError(
      "config",
      `${where} is not a git repository: run this inside one, or "git init" first`,
      {
        cause: error,
      },
    );
  }
  throw error;
}
