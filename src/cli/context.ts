/** What every verb gets: stdout with back pressure, messages on stderr, and the signal that ends it. */

import { once, setMaxListeners } from "node:events";
import { OdbError } from "../errors.js";
import { type Progress, startProgress } from "../progress.js";

/** Options that a verb with `-q` and `--progress` has (see {@link addOutputOptions} in verb.ts). */
export interface OutputOptions {
  readonly quiet?: boolean;
  /** `--progress` and `--no-progress`; undefined: only when stderr is a terminal. */
  readonly progress?: boolean;
}

/** The process round a verb. */
export interface Context {
  /** Aborted by SIGINT, SIGTERM and SIGHUP (a second one kills at once), and when the reader of stdout went away. */
  readonly signal: AbortSignal;
  /**
   * Writes to stdout, and waits while its reader is slower.
   *
   * @throws OdbError aborted, when the reader is gone
   */
  print(text: string | Uint8Array): Promise<void>;
  /** `warning: <text>` on stderr. */
  warn(text: string): void;
  /** `error: <text>` on stderr, for one failure among several; the exit code is the caller's to set. */
  error(text: string): void;
  /** A line on stderr that `-q` leaves out. */
  note(text: string, options: OutputOptions): void;
  /** Progress on stderr, from the second second on, as the options ask. */
  progress(title: string, total: number | undefined, options: OutputOptions): Progress;
}

/** The context of this process: takes the signals and stdout's errors over. */
export function processContext(): Context {
  const { stdout, stderr } = process;
  const controller = new AbortController();
  // Every transfer under way listens: many are no leak.
  setMaxListeners(0, controller.signal);
  const abort = (cause: unknown, what: string) => controller.abort(new OdbError("aborted", what, { cause }));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(name, () => abort(name, "interrupted"));
  stdout.on("error", (error) => abort(error, "the reader of stdout is gone"));
  // Nobody is left to be told.
  stderr.on("error", () => {});
  const say = (text: string) => void stderr.write(`${text}\n`);
  return {
    signal: controller.signal,
    async print(text) {
      controller.signal.throwIfAborted();
      if (stdout.write(text) || stdout.destroyed) return;
      await once(stdout, "drain", { signal: controller.signal }).catch(() => {
        controller.signal.throwIfAborted();
      });
    },
    warn: (text) => say(`warning: ${text}`),
    error: (text) => say(`error: ${text.replaceAll("\n", " ")}`),
    note: (text, { quiet }) => quiet || say(text),
    progress(title, total, { quiet, progress = stderr.isTTY }) {
      return startProgress(title, total, { output: stderr, shown: progress && !quiet });
    },
  };
}
