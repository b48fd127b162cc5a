/** The git on PATH, run for real: the oracle and the client of the tests. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { tempDir } from "./temp.js";

/** Where `npm run build` put the commands: tests run these, in processes of their own. */
export const binDir: string = resolve(import.meta.dirname, "../../dist/bin");

/** The built command's path: `bin("git-odb-helper-file")`. */
export function bin(command: string): string {
  return join(binDir, `${command}.cjs`);
}

/** How to run a git. */
export interface GitOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string | Uint8Array;
}

/** Runs git and gives its stdout without the last LF. Throws with stderr in the message when it fails. */
export function git(args: readonly string[], options: GitOptions = {}): string {
  return gitBytes(args, options).toString().replace(/\n$/, "");
}

/** As {@link git}, the bytes of stdout. */
export function gitBytes(args: readonly string[], options: GitOptions = {}): Buffer {
  return execFileSync("git", args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    input: options.input,
    stdio: ["pipe", "pipe", "pipe"],
    maxBuffer: 1 << 30,
  });
}

/** Runs git and gives what it did, failed or not. */
export function tryGit(
  args: readonly string[],
  options: GitOptions = {},
): { status: number; stdout: string; stderr: string } {
  const done = spawnSync("git", args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    input: options.input,
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  return { status: done.status ?? 128, stdout: done.stdout, stderr: done.stderr };
}

/** As {@link tryGit}, while this process goes on: for a git that talks to a server in this process. */
export function spawnGit(
  args: readonly string[],
  options: GitOptions = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  const child = spawn("git", args, { cwd: options.cwd, env: { ...process.env, ...options.env } });
  const chunks: Record<"stdout" | "stderr", Buffer[]> = { stdout: [], stderr: [] };
  for (const name of ["stdout", "stderr"] as const)
    child[name].on("data", (chunk) => chunks[name].push(chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (status) => {
      const text = (name: "stdout" | "stderr") => Buffer.concat(chunks[name]).toString();
      done({ status: status ?? 128, stdout: text("stdout"), stderr: text("stderr") });
    });
  });
}

/** A new repository in a temporary folder. */
export function tempRepo(...args: string[]): string {
  const dir = tempDir("repo");
  git(["init", "-q", "-b", "main", ...args, dir]);
  return dir;
}
