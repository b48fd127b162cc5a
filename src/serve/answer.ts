/** What a request is answered with: a value, made by the dialects and sent in one place. */

import { type ErrorCode, OdbError } from "../errors.js";
import type { Content } from "../object/content.js";

/** Status, header fields and body of a response. A text is one line or more, each ending in LF. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  /** Never consumed for HEAD: leave it out there. Bytes that must be unopened if nobody reads them. */
  readonly body?: string | Content;
}

/** The most that a text line says of what a client sent. */
const SHOWN = 200;

/** An answer whose body is one line of text. */
export function textAnswer(status: number, line: string, headers: Answer["headers"] = {}): Answer {
  const text = line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
  return { status, headers: { ...headers, "content-type": "text/plain; charset=utf-8" }, body: `${text}\n` };
}

/** Refusal of a method that does not apply. */
export function methodNotAllowed(allow: string): Answer {
  return textAnswer(405, `only ${allow} here`, { allow });
}

/**
 * What a client is told of a failure: by its code alone, since the message may name paths and hosts behind the
 * server. `what` is the method and target as the client sent them.
 */
export function failureAnswer(error: OdbError, what: string): Answer {
  const { status, text } = failures[error.code];
  const { retryAfterMs } = error;
  const retry = retryAfterMs === undefined ? {} : { "retry-after": Math.ceil(retryAfterMs / 1000) };
  return textAnswer(status, `${what}: ${text}`, retry);
}

/** A request that cannot be understood; the message of an `invalid` error of our own parsers is fit to be shown. */
export function badRequest(error: OdbError): Answer {
  return textAnswer(400, error.message);
}

/**
 * Runs a parser of something that the client sent.
 *
 * @returns its result, or the 400 that says what is wrong
 * @throws whatever is no `invalid` OdbError
 */
export function parsing<T>(parse: () => T): { value: T } | { refusal: Answer } {
  try {
    return { value: parse() };
  } catch (error) {
    if (error instanceof OdbError && error.code === "invalid") return { refusal: badRequest(error) };
    throw error;
  }
}

const failures: Readonly<Record<ErrorCode, { status: number; text: string }>> = {
  invalid: { status: 400, text: "the bucket does not accept this" },
  unavailable: { status: 503, text: "what lies behind this server is not available, try again" },
  integrity: { status: 422, text: "the bytes are not what they are said to be" },
  full: { status: 507, text: "no space left" },
  denied: { status: 403, text: "the server may not do this in its bucket" },
  config: { status: 500, text: "the server's bucket is not there or not set up" },
  unsupported: { status: 501, text: "the bucket behind this server cannot do this" },
  conflict: { status: 409, text: "what is there is not ours to replace" },
  protocol: { status: 500, text: "what lies behind this server answers nonsense" },
  aborted: { status: 408, text: "the request did not arrive whole" },
  bug: { status: 500, text: "failure of the server" },
};
