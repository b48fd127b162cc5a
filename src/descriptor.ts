/** Writing straight to a descriptor: a process that answers once saves the start of Node's stream, 1 to 2 ms. */

import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { toOdbError } from "./errors.js";

/** How long to wait when a pipe that does not block is full, in milliseconds. */
const PAUSE_MS = 2;

/**
 * Writes all of it, at the reader's pace.
 *
 * @param what is being done, for the error
 * @throws OdbError aborted, when nobody reads any more; what else befell the descriptor
 */
export async function writeAll(fd: number, bytes: Uint8Array, what: string): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw toOdbError(error, what);
      await sleep(PAUSE_MS);
    }
  }
}
