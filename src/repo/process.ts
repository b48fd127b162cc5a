/** Starts git: the one place of the project that does, so that every git gets the same environment and errors. */

import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { type ErrorCode, OdbError, toOdbError } from "../errors.js";

/** What is written to a git's stdin. */
export type GitInput = string | Uint8Array | AsyncIterable<string | Uint8Array>;

/** How to run a git. */
export interface GitOptions {
  /** Default: the folder of the process, or of the repository. */
  readonly cwd?: string;
  /** On top of the environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Streamed to stdin; without it stdin is empty. */
  readonly input?: GitInput;
  /** Exit codes that are answers and no failures. Default `[0]`. */
  readonly okStatus?: readonly number[];
  /** `inherit`: the user sees what git says (progress, prompts); then an error cannot carry it. */
  readonly stderr?: "inherit";
  /** Ends git with SIGTERM, and the call with an `aborted` error. */
  readonly signal?: AbortSignal;
}

/** What a git said, whole. */
export interface GitOutput {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A git that runs: both ends of it. Whoever starts it waits for {@link GitProcess.done}. */
export interface GitProcess {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Its exit, checked against `okStatus`. @throws OdbError that carries git's own last line */
  done(): Promise<{ status: number; stderr: string }>;
  kill(): void;
}

/** Only this much of what git says on stderr is kept: its end. */
const STDERR_LIMIT = 64 * 1024;

/** In bytes: what git is asked for at once is no larger. */
const OUTPUT_LIMIT = 64 * 1024 * 1024;

/**
 * Starts git with GIT_NO_EXTERNAL_ODB=1 (else the reference client would start the helper again, endlessly) and
 * LC_ALL=C (its messages are matched by {@link gitError}).
 *
 * @throws OdbError config, when there is no git, from `done`
 */
export function startGit(args: readonly string[], options: GitOptions = {}): GitProcess {
  const child = spawn("git", args, {
    cwd: options.cwd,
    env: environment(options),
    stdio: ["pipe", "pipe", options.stderr ?? "pipe"],
    ...(options.signal && { signal: options.signal }),
  }) as ChildProcessByStdio<Writable, Readable, Readable | null>;
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_LIMIT);
  });
  const exit = new Promise<{ status: number; stderr: string }>((resolve, reject) => {
    child.on("error", (error) => reject(spawnError(error, options)));
    child.on("close", (code, signal) => {
      const status = code ?? 128;
      if (code !== null && (options.okStatus ?? [0]).includes(code)) resolve({ status, stderr });
      else reject(gitError(args, stderr, signal === null ? `exit code ${status}` : `killed by ${signal}`));
    });
  });
  // A failure is for whoever awaits `done`; until then it must not count as unhandled.
  exit.catch(() => {});
  // git may exit without reading all of its stdin: its exit code tells, not EPIPE.
  child.stdin.on("error", () => {});
  child.stdout.on("error", () => {});
  return {
    pid: child.pid ?? -1,
    stdin: child.stdin,
    stdout: child.stdout,
    done: () => exit,
    kill: () => void child.kill(),
  };
}

/** Runs git to its end and gives its output, all of it in memory. @throws OdbError as {@link startGit} */
export async function runGit(args: readonly string[], options: GitOptions = {}): Promise<GitOutput> {
  const git = startGit(args, options);
  const fed = feed(git, options.input);
  const chunks: Buffer[] = [];
  git.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const { status, stderr } = await git.done().finally(() => fed.check());
  return { status, stdout: Buffer.concat(chunks), stderr };
}

/**
 * As {@link runGit}, and nothing else happens meanwhile: for the start of a helper, where a git that is waited for costs
 * 6 ms and one that is listened to 11 (Node's sockets). Nothing is written to it.
 *
 * @throws OdbError as {@link startGit}
 */
export function runGitAtOnce(
  args: readonly string[],
  options: Pick<GitOptions, "cwd" | "env"> = {},
): GitOutput {
  const { cwd } = options;
  const { error, status, signal, stdout, stderr } = spawnSync("git", args, {
    cwd,
    env: environment(options),
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: OUTPUT_LIMIT,
  });
  if (error !== undefined) throw spawnError(error, options);
  const said = stderr.toString();
  if (status !== 0)
    throw gitError(args, said, signal === null ? `exit code ${status}` : `killed by ${signal}`);
  return { status, stdout, stderr: said };
}

/** Runs git and gives its stdout as it comes; returning early ends git. @throws OdbError as {@link startGit} */
export async function* streamGit(args: readonly string[], options: GitOptions = {}): AsyncGenerator<Buffer> {
  const git = startGit(args, options);
  const fed = feed(git, options.input);
  let ended = false;
  try {
    for await (const chunk of git.stdout) yield chunk as Buffer;
    ended = true;
  } finally {
    if (!ended) git.kill();
  }
  await git.done().finally(() => fed.check());
}

/** Stdout cut at `separator` (one byte), the separators left out; a last record without one counts too. */
export async function* gitRecords(
  args: readonly string[],
  separator: "\n" | "\0",
  options: GitOptions = {},
): AsyncGenerator<Buffer> {
  const mark = separator.charCodeAt(0);
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of streamGit(args, options)) {
    let start = 0;
    for (let end = chunk.indexOf(mark); end >= 0; end = chunk.indexOf(mark, start)) {
      const piece = chunk.subarray(start, end);
      yield rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      if (rest.length > 0) rest = Buffer.alloc(0);
      start = end + 1;
    }
    if (start < chunk.length) rest = Buffer.concat([rest, chunk.subarray(start)]);
  }
  if (rest.length > 0) yield rest;
}

/** The input on its way to stdin. */
interface Feeding {
  /** Throws what the input threw: git was killed for it, so this comes before git's own failure. */
  check(): void;
}

function environment(options: GitOptions): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", ...options.env, GIT_NO_EXTERNAL_ODB: "1" };
}

/** Writes the input and closes stdin. git may end without reading all of it: its exit code tells, not EPIPE. */
function feed(git: GitProcess, input: GitInput | undefined): Feeding {
  let failure: { error: unknown } | undefined;
  if (input === undefined || typeof input === "string" || input instanceof Uint8Array) {
    git.stdin.end(input);
  } else {
    pump(input, git.stdin).catch((error: unknown) => {
      failure = { error };
      git.kill();
    });
  }
  return {
    check() {
      if (failure !== undefined) throw failure.error;
    },
  };
}

async function pump(input: AsyncIterable<string | Uint8Array>, stdin: Writable): Promise<void> {
  let corked = false;
  for await (const chunk of input) {
    if (stdin.destroyed) return;
    if (!corked) {
      // Small pieces of one turn of the event loop leave in one write.
      corked = true;
      stdin.cork();
      setImmediate(() => {
        corked = false;
        stdin.uncork();
      });
    }
    if (!stdin.write(chunk)) await drained(stdin);
  }
  stdin.end();
}

/** Waits until there is room, or nobody reads any more. */
function drained(stdin: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stdin.off("drain", done).off("close", done);
      resolve();
    };
    stdin.on("drain", done).on("close", done);
    if (stdin.destroyed) done();
  });
}

function spawnError(error: Error, options: GitOptions): OdbError {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") return toOdbError(error, "git");
  if (options.cwd !== undefined && !existsSync(options.cwd)) {
    return new OdbError("config", `${options.cwd}: no such directory`, { cause: error });
  }
  return new OdbError("config", "git is not on PATH: install git, or mend PATH", { cause: error });
}

const codeOfMessage: readonly (readonly [RegExp, ErrorCode])[] = [
  [/No space left on device|Disk quota exceeded/, "full"],
  [/Permission denied|Read-only file system|insufficient permission/, "denied"],
  [
    /cannot lock ref|Unable to create '.*\.lock'|reference already exists|could not lock config file/i,
    "conflict",
  ],
  [/unknown (?:switch|option)|usage: git|is not a git command/, "unsupported"],
  [
    /loose object .* is corrupt|object file .* is empty|unable to unpack|bad object|inflate: data stream/,
    "integrity",
  ],
];

/** The failure of a git: its subcommand, its own last line of stderr, and a code as far as that line tells. */
function gitError(args: readonly string[], stderr: string, how: string): OdbError {
  const command = `git ${args.find((arg) => !arg.startsWith("-") && !arg.includes("=")) ?? args[0] ?? ""}`;
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const last = lines.findLastIndex((line) => /^(?:fatal|error): /.test(line));
  // Why it could not be read, git or ssh has said before.
  const isVague = /Could not read from remote repository/.test(lines[last] ?? "") && last > 0;
  const told = lines.at(isVague ? last - 1 : last);
  const code = codeOfMessage.find(([pattern]) => pattern.test(stderr))?.[1] ?? "config";
  return new OdbError(code, `${command}: ${told?.replace(/^(?:fatal|error): /, "") ?? how}`);
}
