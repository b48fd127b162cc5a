/** git's two pipes: lines in, text out. Straight on the descriptors, which saves a helper the start of Node's streams. */

import { read } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { writeAll } from "../descriptor.js";
import { OdbError, toOdbError } from "../errors.js";
import type { HelperPipes } from "./remote-helper.js";

const readAsync = promisify(read);

/** A line is a command with a ref name or an option: git's own limit for both is far below. */
const LINE_LIMIT = 1024 * 1024;

/** How long to wait when a pipe that does not block has nothing for us, in milliseconds. */
const PAUSE_MS = 2;

/** @param signal ends a wait for git with its reason */
export function helperPipes(signal: AbortSignal, input = 0, output = 1): HelperPipes {
  const block = Buffer.allocUnsafe(64 * 1024);
  const lines: string[] = [];
  let rest: Buffer = Buffer.alloc(0);
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(toOdbError(signal.reason)), { once: true });
  });
  interrupted.catch(() => {});

  const fill = async (): Promise<boolean> => {
    const bytes = await readSome(input, block);
    const all = Buffer.concat([rest, block.subarray(0, bytes)]);
    const end = all.lastIndexOf(10) + 1;
    if (all.length - end > LINE_LIMIT) throw new OdbError("protocol", "git sent a line without end");
    if (end > 0) lines.push(...all.toString("utf8", 0, end - 1).split("\n"));
    rest = all.subarray(end);
    return bytes > 0;
  };
  return {
    async readLine() {
      while (lines.length === 0) if (!(await Promise.race([fill(), interrupted]))) return undefined;
      return lines.shift();
    },
    async write(text) {
      await writeAll(output, Buffer.from(text), "write to git");
    },
  };
}

/** @returns 0 at the end */
async function readSome(fd: number, block: Buffer): Promise<number> {
  for (;;) {
    try {
      return (await readAsync(fd, block, 0, block.length, null)).bytesRead;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EOF") return 0;
      if (code !== "EAGAIN") throw toOdbError(error, "read from git");
      await sleep(PAUSE_MS);
    }
  }
}
