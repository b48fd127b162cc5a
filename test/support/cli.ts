/** `git odb` as a user runs it: by git, which finds the built command on PATH. */

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { binDir } from "./git.js";
import { tempDir } from "./temp.js";

/** What a command did. */
export interface CliResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run it. */
export interface CliOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string | Uint8Array;
}

let folder: string | undefined;

/** A folder with the built commands under their own names, as npm links them. */
export function commandFolder(): string {
  if (folder !== undefined && existsSync(folder)) return folder;
  folder = tempDir("bin");
  for (const file of readdirSync(binDir)) {
    if (file.endsWith(".cjs")) symlinkSync(join(binDir, file), join(folder, basename(file, ".cjs")));
  }
  return folder;
}

/** The environment in which git finds our commands. */
export function cliEnv(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${commandFolder()}${delimiter}${process.env.PATH}`, ...env };
}

/** Runs `git odb <args>` to its end. */
export function gitOdb(args: readonly string[], options: CliOptions = {}): CliResult {
  const done = spawnSync("git", ["odb", ...args], {
    cwd: options.cwd,
    env: cliEnv(options.env),
    input: options.input ?? "",
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return { status: done.status ?? -1, stdout: done.stdout, stderr: done.stderr };
}

/** What somebody else's git does meanwhile. */
export interface Meanwhile {
  /** Before this operation of the command's on a file … */
  readonly call: "rename" | "open" | "stat";
  /** … whose path matches this regular expression, … */
  readonly path: string;
  /** … but for the first so many times, … */
  readonly skip?: number;
  /** … each of so many times (default 1), … */
  readonly times?: number;
  /** … git runs with these words. */
  readonly git: string;
}

/** The environment for a command of ours that something happens to while it runs. @param dir where git runs */
export function meanwhile(
  dir: string,
  { call, path, skip = 0, times = 1, git }: Meanwhile,
): NodeJS.ProcessEnv {
  return {
    NODE_OPTIONS: `--require ${join(import.meta.dirname, "meanwhile.cjs")}`,
    MEANWHILE_CALL: call,
    MEANWHILE_PATH: path,
    MEANWHILE_SKIP: String(skip),
    MEANWHILE_TIMES: String(times),
    MEANWHILE_GIT: git,
    MEANWHILE_IN: dir,
  };
}

/** Starts the command itself, to be talked to or killed; its pid is not git's. */
export function startOdb(args: readonly string[], options: CliOptions = {}): ChildProcessWithoutNullStreams {
  return spawn(join(commandFolder(), "git-odb"), args, { cwd: options.cwd, env: cliEnv(options.env) });
}

/** Runs `git odb` as {@link gitOdb} does, while this process goes on: servers in it can answer. */
export async function runOdb(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = startOdb(args, options);
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  }
  child.stdin.end();
  const [status] = (await once(child, "close")) as [number | null];
  return { status: status ?? 128, ...said };
}
