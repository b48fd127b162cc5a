/** What `git odb mirror` shows while it runs: a line for each repository, JSON for machines, progress on a terminal. */

import type { MirrorEvent } from "../mirror/options.js";
import { formatBytes, type Progress } from "../progress.js";
import type { Context, OutputOptions } from "./context.js";

/** Shows events as they come. */
export interface MirrorDisplay {
  show(event: MirrorEvent): void;
  /** Waits until all is written. */
  end(): Promise<void>;
}

/** JSON lines of progress are this far apart at least, in milliseconds. */
const INTERVAL_MS = 1000;

/** @param total how many repositories there are */
export function mirrorDisplay(
  total: number,
  options: OutputOptions & { readonly json?: boolean },
  context: Context,
): MirrorDisplay {
  let printing: Promise<void> = Promise.resolve();
  const print = (text: string) => {
    printing = printing.then(() => context.print(text));
    // It is awaited at the end; a failure before that is no unhandled one.
    printing.catch(() => {});
  };
  const bars = total === 1 ? phases(options, context) : overall(total, options, context);
  const counts = counter();
  return {
    show(event) {
      if (options.json) for (const line of counts.lines(event)) print(`${JSON.stringify(line)}\n`);
      if (event.event !== "done" && event.event !== "failed") return bars.show(event);
      bars.makeRoom(event.event === "done");
      if (event.event === "done" && !options.json && !options.quiet) print(summary(event));
      printing.then(
        () => bars.show(event),
        () => {},
      );
    },
    async end() {
      await printing.finally(() => bars.end());
    },
  };
}

function summary(event: MirrorEvent & { event: "done" }): string {
  const { source, target, changed, refs, objects, bytes, lfs } = event;
  const more = lfs.copied === 0 ? "" : `, ${lfs.copied} LFS objects, ${formatBytes(lfs.bytes)}`;
  const what = changed ? `${refs} refs, ${objects} objects, ${formatBytes(bytes)}${more}` : "up to date";
  return `${source} -> ${target}: ${what}\n`;
}

interface Bars {
  show(event: MirrorEvent): void;
  /** A line about a repository follows: it ended, well or not. */
  makeRoom(isDone: boolean): void;
  end(): void;
}

/** One repository: what is received, then what is sent. */
function phases(options: OutputOptions, context: Context): Bars {
  let current: { name: string; progress: Progress } | undefined;
  const to = (name: string) => {
    if (current?.name === name) return current.progress;
    current?.progress.finish();
    current = { name, progress: context.progress(name, undefined, options) };
    return current.progress;
  };
  return {
    show(event) {
      if (event.event === "receive") to("Receiving objects").add(0, event.bytes);
      // Known when git has looked into the pack, which is on its way to the bucket by then.
      if (event.event === "objects") to(current?.name ?? "Receiving objects").add(event.count);
      if (event.event === "send") to("Writing objects").add(0, event.bytes);
      if (event.event === "lfs") to("Copying LFS objects").add(1, event.bytes);
    },
    makeRoom: (isDone) => current?.progress.finish(isDone),
    end: () => current?.progress.finish(),
  };
}

/** Several: how many are done, and the bytes that went to the buckets. */
function overall(total: number, options: OutputOptions, context: Context): Bars {
  const progress = context.progress("Mirroring", total, options);
  return {
    show(event) {
      if (event.event === "send" || event.event === "lfs") progress.add(0, event.bytes);
      if (event.event === "done" || event.event === "failed") progress.add(1);
    },
    makeRoom: () => progress.clear(),
    end: () => progress.finish(),
  };
}

/** Events as JSON: what is only counted is summed up, a line a second for each repository. */
function counter() {
  const counts = new Map<string, { received: number; sent: number; objects: number; shown: number }>();
  const progress = (
    source: string,
    count: (sums: { received: number; sent: number; objects: number }) => void,
  ) => {
    const sums = counts.get(source) ?? { received: 0, sent: 0, objects: 0, shown: performance.now() };
    counts.set(source, sums);
    count(sums);
    if (performance.now() - sums.shown < INTERVAL_MS) return [];
    sums.shown = performance.now();
    const { received, sent, objects } = sums;
    return [{ event: "progress", source, received, sent, objects }];
  };
  return {
    lines(event: MirrorEvent): object[] {
      switch (event.event) {
        case "receive":
          return progress(event.source, (sums) => (sums.received += event.bytes));
        case "send":
        case "lfs":
          return progress(event.source, (sums) => (sums.sent += event.bytes));
        case "objects":
          return progress(event.source, (sums) => (sums.objects += event.count));
        case "failed": {
          const { error, ...rest } = event;
          return [{ ...rest, code: error.code, message: error.message }];
        }
        default:
          return [event];
      }
    },
  };
}
