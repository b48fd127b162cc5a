/** A helper as a child process, started as git starts it: its command is a line for the shell. */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { OdbError } from "../src/errors.js";

/** How to start a helper. */
export interface ChildOptions {
  /** Default: that of this process. */
  readonly cwd?: string | undefined;
  /** All of it. Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** What the helper says on stderr, as it comes. Default: it goes to our own stderr. */
  readonly onStderr?: ((text: string) => void) | undefined;
  /** Kills the helper and all that it started. */
  readonly signal?: AbortSignal | undefined;
}

/** A running helper. */
export interface HelperChild {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Its exit code, 128 + n after signal n as a shell says it; once its output has been read. Never rejects. */
  readonly exited: Promise<number>;
  /** Ends it and all that it started. */
  kill(signal?: NodeJS.Signals): void;
}

/** @throws OdbError config, when there is no shell or no such cwd */
export async function startHelper(command: string, options: ChildOptions = {}): Promise<HelperChild> {
  // In a process group of its own, so that what the shell starts can be ended with it.
  const child = spawn("sh", ["-c", command], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["pipe", "pipe", options.onStderr ? "pipe" : "inherit"],
    detached: true,
  });
  const exited = new Promise<number>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
  if (options.onStderr) child.stderr?.setEncoding("utf8").on("data", options.onStderr);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => {
      reject(new OdbError("config", `cannot start helper "${command}": ${error.message}`, { cause: error }));
    });
  });
  const kill = (signal: NodeJS.Signals = "SIGKILL") => endGroup(child.pid, signal);
  const onAbort = () => kill();
  options.signal?.addEventListener("abort", onAbort);
  void exited.then(() => options.signal?.removeEventListener("abort", onAbort));
  if (options.signal?.aborted) kill();
  // A helper that is gone shows in its answers and its exit code, not in EPIPE.
  child.stdin?.on("error", () => {});
  return { stdin: child.stdin as Writable, stdout: child.stdout as Readable, exited, kill };
}

function endGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // ESRCH: all of it has ended already.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
