/** One process of the helper under test: started by the shell as git does, and never waited for without an end. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fail } from "./expect.js";

/** Where and how a helper process runs. */
export interface ProcessOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** How long one answer may take, in milliseconds. */
  readonly timeoutMs: number;
  /** What is on its stdin: a pipe, or nothing at all (as git starts a script-mode get). Default `pipe`. */
  readonly stdin?: "pipe" | "ignore";
}

/** How a process ended: an exit code or a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a crash prints by the dozen, of Node at least: the line that says what happened is above it. */
const stackFrame = /^\s+at /;

/** So much of the end of a helper's stderr is kept for messages. */
const STDERR_KEPT = 8192;

/** So long a message about a dead helper waits for the last of its stderr, which a child of it may hold open. */
const STDERR_WAIT_MS = 200;

/** A running helper. */
export class HelperProcess {
  readonly stdout: Readable;
  readonly #child: ChildProcessByStdio<Writable | null, Readable, Readable>;
  readonly #timeoutMs: number;
  readonly #exit: Promise<Exit>;
  #stderr = "";
  #over = false;

  constructor(command: string, options: ProcessOptions) {
    const { cwd, env, timeoutMs, stdin = "pipe" } = options;
    this.#timeoutMs = timeoutMs;
    // A process group of its own, so that a helper that hangs goes with all that it started.
    this.#child = spawn("sh", ["-c", command], {
      cwd,
      env,
      detached: true,
      stdio: [stdin, "pipe", "pipe"],
    }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
    this.stdout = this.#child.stdout;
    this.stdout.on("error", () => {});
    this.#child.stdin?.on("error", () => {});
    this.#child.stderr.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString("latin1")).slice(-STDERR_KEPT);
    });
    this.#exit = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      // As git does, which waits for the process: what it left unread in a pipe does not matter.
      this.#child.once("exit", (code, signal) => resolve({ code, signal }));
      this.#child.once("close", () => {
        this.#over = true;
      });
    });
    this.#exit.catch(() => {});
  }

  /** @throws Error when it was started without */
  get stdin(): Writable {
    if (this.#child.stdin === null) throw new Error("the helper was started without a stdin");
    return this.#child.stdin;
  }

  /**
   * Waits for `work`, but not longer than one answer may take.
   *
   * @param what completes "waited 10 s for …"
   * @throws AssertionError when the time is over
   */
  async within<T>(work: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<"timeout">((resolve) => {
      timer = setTimeout(() => resolve("timeout"), this.#timeoutMs);
    });
    try {
      const first = await Promise.race([work.then((value) => ({ value })), timeout]);
      if (first !== "timeout") return first.value;
    } finally {
      clearTimeout(timer);
    }
    work.catch(() => {});
    return fail(`waited ${this.#timeoutMs / 1000} s for ${what}, in vain${this.stderrNote()}`);
  }

  /** Waits for the end of the process and of its output. @param what as in {@link within} */
  exit(what: string): Promise<Exit> {
    return this.within(this.#exit, what);
  }

  /** Ends a case because the helper ended: says how, once it is known. @throws AssertionError always */
  async ended(where: string): Promise<never> {
    const exit = await this.exit(`the exit of a helper that closed its side ${where}`);
    await Promise.race([once(this.#child.stderr, "close"), sleep(STDERR_WAIT_MS)]);
    return fail(`the helper ended (${formatExit(exit)}) ${where}${this.stderrNote()}`);
  }

  /** What it said last on stderr, as the end of a message. */
  stderrNote(): string {
    const lines = this.#stderr
      .trim()
      .split("\n")
      .filter((line) => line !== "" && !stackFrame.test(line));
    return lines.length === 0 ? "" : `; its stderr ends:\n${lines.slice(-8).join("\n")}`;
  }

  /** Ends the process and all that it started, at once. */
  kill(): void {
    this.#child.stdin?.destroy();
    this.stdout.destroy();
    this.#child.stderr.destroy();
    const { pid } = this.#child;
    // Once it is over its number may be somebody else's.
    if (pid === undefined || this.#over) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      // The whole group is gone already: that is what was wanted.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** How a process ended, in words. */
export function formatExit(exit: Exit): string {
  if (exit.signal !== null) return `signal ${exit.signal}`;
  return exit.code === 127 ? "exit 127, command not found: is its path absolute?" : `exit ${exit.code}`;
}
