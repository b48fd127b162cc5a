/** Listings of our own server, page by page: docs/http-dialect.md. */

import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import type { Entry, ListOptions } from "./bucket.js";
import type { HttpClient } from "./http-client.js";
import { httpError } from "./http-error.js";
import type { HttpResponse } from "./http-exchange.js";
import { compareKeys, isKey } from "./keys.js";

/** The most that a page may hold: 10,000 lines of keys of ordinary length take a tenth of it. */
const PAGE_LIMIT = 16 << 20;

/** Whether our own server answered. */
export function isOurs(response: HttpResponse): boolean {
  return response.headers["x-odb-dialect"] === "1";
}

/** @throws OdbError unsupported, when the server is another kind; protocol, when the listing is not in order */
export async function* listPages(
  client: HttpClient,
  base: URL,
  prefix: string,
  options: ListOptions,
): AsyncIterable<Entry> {
  const what = `list ${base.href}${prefix}`;
  let after: string | undefined = options.after ?? "";
  while (after !== undefined) {
    const url = new URL(`?${new URLSearchParams({ list: "", prefix, after })}`, base);
    const signal = options.signal && { signal: options.signal };
    const response = await client.send({ method: "GET", url, what, ...signal });
    const next: string | undefined = nextOf(response, what);
    for (const line of await linesOf(response, what)) {
      const entry = parseLine(line, what);
      if (!entry.key.startsWith(prefix) || compareKeys(entry.key, after) <= 0) {
        throw new OdbError(
          "protocol",
          `${what}: ${JSON.stringify(entry.key)} is out of order in the listing`,
        );
      }
      after = entry.key;
      yield entry;
    }
    if (next !== undefined && compareKeys(next, after) < 0) {
      throw new OdbError("protocol", `${what}: the listing goes back to ${JSON.stringify(next)}`);
    }
    after = next;
  }
}

async function linesOf(response: HttpResponse, what: string): Promise<string[]> {
  const isListing = response.headers["content-type"]?.startsWith("application/x-ndjson") && isOurs(response);
  if (response.status === 200 && isListing) {
    const page = await collect(response.content(), PAGE_LIMIT);
    return page.toString().split("\n").filter(Boolean);
  }
  const refused = [401, 403, 408, 429].includes(response.status) || response.status >= 500;
  if (refused && response.status !== 501) throw await httpError(response, what);
  response.discard();
  throw new OdbError("unsupported", `${what}: this web server gives no listing; git odb serve does`);
}

function nextOf(response: HttpResponse, what: string): string | undefined {
  const header = response.headers["x-odb-next"];
  if (typeof header !== "string") return undefined;
  try {
    return decodeURIComponent(header);
  } catch {
    response.discard();
    throw new OdbError("protocol", `${what}: broken X-Odb-Next`);
  }
}

function parseLine(line: string, what: string): Entry {
  const { key, size, etag, modified } = parseJson(line, what);
  if (typeof key !== "string" || !isKey(key) || !Number.isSafeInteger(size) || Number(size) < 0) {
    throw new OdbError("protocol", `${what}: ${JSON.stringify(line.slice(0, 120))} is no line of a listing`);
  }
  return {
    key,
    size: Number(size),
    ...(typeof etag === "string" && { etag }),
    ...(typeof modified === "string" && { modified: new Date(modified) }),
  };
}

function parseJson(line: string, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: it is refused below, as any other value is.
  }
  throw new OdbError("protocol", `${what}: ${JSON.stringify(line.slice(0, 120))} is no line of a listing`);
}
