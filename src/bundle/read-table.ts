/** Fetches a table of contents, in either of its forms. */

import { httpError } from "../bucket/http-error.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import { parseBundleList } from "./bundle-list.js";
import { HttpClients } from "./clients.js";
import { type BundleTable, parseTable, TABLE_LIMIT } from "./table.js";

/** How to fetch. */
export interface ReadTableOptions {
  /** Default: one of its own, without credentials. */
  readonly clients?: HttpClients | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * GETs a table: `bundles.json`, or a bundle list of git, told apart by their content.
 *
 * @throws OdbError config, when it is neither, or is not there; invalid, when `url` is not http(s); as HTTP fails
 */
export async function readTable(url: string, options: ReadTableOptions = {}): Promise<BundleTable> {
  const from = parseTableUrl(url);
  const { signal } = options;
  using own = new HttpClients();
  const response = await (options.clients ?? own).of(from).send({
    method: "GET",
    url: from,
    what: from.href,
    ...(signal && { signal }),
  });
  if (response.status === 404 || response.status === 410) {
    response.discard();
    throw new OdbError(
      "config",
      `${from.href}: there is no table of bundles (the server answered ${response.status})`,
    );
  }
  if (response.status !== 200) throw await httpError(response, from.href);
  return await parseEither(await readBounded(response.content(), from.href), from.href);
}

/** @throws OdbError invalid, unless it is an http(s) URL without a credential */
export function parseTableUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new OdbError(
      "invalid",
      `${JSON.stringify(text)} is no URL of a table of bundles: expected http:// or https://`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new OdbError(
      "invalid",
      `${url.host}: no user name or password in the URL of a table: use git credential`,
    );
  }
  return url;
}

async function readBounded(content: AsyncIterable<Uint8Array>, what: string): Promise<string> {
  try {
    return (await collect(content, TABLE_LIMIT)).toString();
  } catch (error) {
    if (!(error instanceof OdbError) || error.code !== "invalid") throw error;
    throw new OdbError("config", `${what}: no table of bundles is so large (more than ${TABLE_LIMIT} bytes)`);
  }
}

async function parseEither(text: string, what: string): Promise<BundleTable> {
  // No JSON text begins with "[bundle", and a bundle list has comments and sections only.
  return /^\s*(?:[#;]|\[\s*[A-Za-z])/.test(text) ? parseBundleList(text, what) : parseTable(text, what);
}
