/** Reading ahead of a slow consumer, and never quite stopping: a source that is not read from at all hangs up. */

import type { Content } from "../object/content.js";

/** How far and how patiently to read ahead. */
export interface KeepAliveOptions {
  /** In bytes; default 4 MiB. */
  readonly ahead?: number;
  /** Once so far ahead, a chunk is taken all the same each time so many milliseconds went by. Default 5,000. */
  readonly everyMs?: number;
}

/**
 * The same content, read ahead. Beyond the limit it is taken drop by drop, a packet of 64 KiB at most every five
 * seconds: an hour of a bucket that does not move at all costs 46 MiB of memory.
 */
export async function* keptAlive(content: Content, options: KeepAliveOptions = {}): Content {
  const { ahead = 4 * 1024 * 1024, everyMs = 5000 } = options;
  const chunks: Uint8Array[] = [];
  let held = 0;
  let end: { error?: unknown } | undefined;
  let stopped = false;
  let arrived = () => {};
  let taken = () => {};

  const read = async () => {
    try {
      for await (const chunk of content) {
        // The producer may use its memory again once it is asked for more.
        chunks.push(Uint8Array.from(chunk));
        held += chunk.length;
        arrived();
        if (held >= ahead) await drop();
        if (stopped) break;
      }
      end = {};
    } catch (error) {
      end = { error };
    }
    arrived();
  };
  /** Until something is taken, or it is time for another drop. */
  const drop = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, everyMs);
      taken = () => {
        if (held >= ahead && !stopped) return;
        clearTimeout(timer);
        resolve();
      };
    });

  const reading = read();
  try {
    for (;;) {
      const chunk = chunks.shift();
      if (chunk !== undefined) {
        held -= chunk.length;
        taken();
        yield chunk;
      } else if (end !== undefined) {
        if ("error" in end) throw end.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
    }
  } finally {
    stopped = true;
    taken();
    await reading;
  }
}
