/** What an HTTP status that is no answer means to a caller. */

import { type ErrorCode, OdbError } from "../errors.js";
import type { HttpResponse } from "./http-exchange.js";

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  400: "invalid",
  401: "denied",
  402: "denied",
  403: "denied",
  405: "unsupported",
  407: "denied",
  408: "unavailable",
  409: "conflict",
  411: "invalid",
  413: "full",
  422: "integrity",
  425: "unavailable",
  429: "unavailable",
  431: "invalid",
  451: "denied",
  501: "unsupported",
  507: "full",
};

const hintOfStatus: Readonly<Record<number, string>> = {
  401: "the server wants credentials, and git credential has none that it takes",
  403: "the server does not allow it: check the rights of your credentials there",
  405: "this web server only serves files to read: start git odb serve, or use another URL",
  429: "the server asks for fewer requests",
  507: "no space left on the server",
};

/** Turns a response into the error it stands for, with the server's own line where it is text. */
export async function httpError(response: HttpResponse, what: string): Promise<OdbError> {
  const { status } = response;
  const said = await response.excerpt();
  const hint = hintOfStatus[status] ?? (codeOf(status) === "unavailable" ? "try again later" : undefined);
  const parts = [`HTTP ${status}`, hint, said].filter((part) => part);
  const retryAfterMs = parseRetryAfter(response.headers["retry-after"]);
  return new OdbError(codeOf(status), `${what}: ${parts.join(": ")}`, {
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/** Seconds or a date (RFC 9110, 10.2.3), in milliseconds from now. */
export function parseRetryAfter(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

function codeOf(status: number): ErrorCode {
  if (status >= 500) return codeOfStatus[status] ?? "unavailable";
  return codeOfStatus[status] ?? "unsupported";
}
