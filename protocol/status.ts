/** The four words that git knows as the outcome of a command, and which of them stands for which failure. */

import type { OdbError } from "../src/errors.js";

/**
 * There are no others: at any other word git kills the helper, and after a put crashes.
 *
 * - `notfound`: a get's object is not there
 * - `error`: this command failed
 * - `abort`: do not send this command again as long as the git at hand runs
 */
export type Status = "success" | "notfound" | "error" | "abort";

/** What a command does, as far as its failures are concerned. */
export type CommandKind = "init" | "have" | "get" | "put";

/** Whether git knows the word. */
export function isStatus(word: string): word is Status {
  return word === "success" || word === "notfound" || word === "error" || word === "abort";
}

/**
 * The word for a failure. Only a put is ever answered `abort`, and only where the next one would fail alike: after
 * `abort` to `have` that git stores some files nowhere, after `abort` to its only get it dies.
 */
export function statusOf(error: OdbError, kind: CommandKind): Status {
  return kind === "put" && isLasting(error) ? "abort" : "error";
}

function isLasting({ code }: OdbError): boolean {
  return code === "denied" || code === "config" || code === "unsupported";
}
