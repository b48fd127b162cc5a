/** Progress on stderr as git shows it: `Uploading: 45% (9/20), 12.00 MiB | 3.00 MiB/s` (progress.c). */

import type { Content } from "./object/content.js";

/** Counts of one running task. */
export interface Progress {
  /** Adds to what is done. `bytes` makes the throughput part appear. */
  add(count: number, bytes?: number): void;
  /** The same content, its bytes counted as they pass. */
  through(content: Content): Content;
  /** Learns the total while it runs. */
  setTotal(total: number): void;
  /** Takes the line away, for another one to stand there; the next figures bring it back. */
  clear(): void;
  /** Shows the last figures, with `, done.`, if any were shown. To be called on failure too, with `done` false. */
  finish(done?: boolean): void;
}

/** Options of {@link startProgress}. */
export interface ProgressOptions {
  readonly output: { write(text: string): unknown; readonly columns?: number };
  readonly shown: boolean;
  /** Nothing is shown before this many milliseconds. Default: `GIT_PROGRESS_DELAY` (in seconds), else 1,000. */
  readonly delayMs?: number;
  /** In milliseconds, monotonic. */
  readonly now?: () => number;
}

/** A line is redrawn when this much time went by, in milliseconds. */
const INTERVAL_MS = 200;

const DELAY_MS = 1000;

/** Starts a task; with `shown` false it costs nothing and shows nothing. */
export function startProgress(title: string, total: number | undefined, options: ProgressOptions): Progress {
  if (!options.shown)
    return { add() {}, through: (content) => content, setTotal() {}, clear() {}, finish() {} };
  const { output, delayMs = usualDelay(), now = () => performance.now() } = options;
  const start = now();
  let count = 0;
  let bytes = 0;
  /** Characters on the screen now; and whether there were any at any time. */
  let drawn = 0;
  let seen = false;
  let next = start + delayMs;
  const draw = (time: number, tail: string, end: "\r" | "\n") => {
    const line = `${title}: ${formatCount(count, total)}${formatRate(bytes, time - start)}${tail}`;
    output.write(line.padEnd(drawn) + end);
    drawn = line.length;
    seen = true;
    next = time + INTERVAL_MS;
  };
  // Who waits for a server that sends nothing is told what for.
  const first = setTimeout(() => !seen && draw(now(), "", "\r"), delayMs).unref();
  const add = (added: number, addedBytes = 0) => {
    count += added;
    bytes += addedBytes;
    const time = now();
    if (time >= next) draw(time, "", "\r");
  };
  return {
    add,
    async *through(content) {
      for await (const chunk of content) {
        add(0, chunk.length);
        yield chunk;
      }
    },
    setTotal(known) {
      total = known;
    },
    clear() {
      if (drawn > 0) output.write(`${"".padEnd(drawn)}\r`);
      drawn = 0;
      next = Math.min(next, now());
    },
    finish(done = true) {
      clearTimeout(first);
      if (seen) draw(now(), done ? ", done." : "", "\n");
      drawn = 0;
      seen = false;
      next = Number.POSITIVE_INFINITY;
    },
  };
}

/** git has the same variable for its own (git(1)). */
function usualDelay({ GIT_PROGRESS_DELAY = "" } = process.env): number {
  return /^[0-9]+$/.test(GIT_PROGRESS_DELAY) ? Number(GIT_PROGRESS_DELAY) * 1000 : DELAY_MS;
}

/** A size for people, with git's units: `12.00 MiB`, `1 byte` (strbuf_humanise_bytes). */
export function formatBytes(bytes: number): string {
  for (const [power, unit] of [
    [30, "GiB"],
    [20, "MiB"],
    [10, "KiB"],
  ] as const) {
    if (bytes >= 2 ** power) return `${(bytes / 2 ** power).toFixed(2)} ${unit}`;
  }
  return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
}

function formatCount(count: number, total: number | undefined): string {
  if (total === undefined) return String(count);
  const percent = total === 0 ? 100 : Math.floor((count * 100) / total);
  return `${String(percent).padStart(3)}% (${count}/${total})`;
}

function formatRate(bytes: number, elapsedMs: number): string {
  if (bytes === 0) return "";
  const rate = elapsedMs > 0 ? Math.round((bytes * 1000) / elapsedMs) : bytes;
  return `, ${formatBytes(bytes)} | ${formatBytes(rate)}/s`;
}
