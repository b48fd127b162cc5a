/** How long a server may be silent before a request counts as failed. */

import { OdbError } from "../errors.js";

/** In milliseconds. */
const DEFAULT_MS = 60_000;

/** A day: timers do not reach much further. */
const MOST_S = 86_400;

/**
 * @param configured in milliseconds; as with git's own settings, a variable of the environment counts more
 * @throws OdbError invalid, when GIT_ODB_TIMEOUT is no number of seconds
 */
export function silenceLimit(configured?: number, env: NodeJS.ProcessEnv = process.env): number {
  const { GIT_ODB_TIMEOUT: text } = env;
  if (text === undefined || text === "") return configured ?? DEFAULT_MS;
  const seconds = parseSeconds(text);
  if (seconds !== undefined) return seconds * 1000;
  throw new OdbError("invalid", `GIT_ODB_TIMEOUT=${text}: expected seconds, from 1 to ${MOST_S}`);
}

/** @returns undefined for anything but a whole number of seconds in bounds */
export function parseSeconds(text: string): number | undefined {
  const seconds = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return seconds >= 1 && seconds <= MOST_S ? seconds : undefined;
}
