/** Downloads from an LFS server by its batch API (git-lfs docs/api/batch.md). */

import { Agent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { type HttpClient, httpClient } from "../bucket/http-client.js";
import { sendOnce } from "../bucket/http-exchange.js";
import type { CredentialProvider } from "../bucket/options.js";
import { silenceLimit } from "../bucket/silence.js";
import { OdbError } from "../errors.js";
import { type Content, collect, sourceOf } from "../object/content.js";
import { withoutUserinfo } from "../repo/upload-pack.js";
import type { LfsObject } from "./lfs-pointer.js";
import { takeUserinfo } from "./userinfo.js";

/** A connection to an LFS server. */
export interface LfsClient extends Disposable {
  /** For messages. */
  readonly name: string;
  /** Where objects can be fetched; those that the server does not have are left out. At most {@link BATCH} of them. */
  locate(objects: readonly LfsObject[], signal?: AbortSignal): Promise<Map<string, LfsAction>>;
  /** The bytes, as they come: to be verified. */
  download(object: LfsObject, action: LfsAction, signal?: AbortSignal): Promise<Content>;
}

/** How to fetch one object. The headers are for this address alone. */
export interface LfsAction {
  readonly href: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/** Objects asked for at a time. */
export const BATCH = 100;

const MEDIA_TYPE = "application/vnd.git-lfs+json";
const ANSWER_LIMIT = 16 * 1024 * 1024;

/** The LFS server of a repository behind http(s), where git-lfs looks for it (docs/api/server-discovery.md). */
export function lfsUrlOf(source: string): string | undefined {
  if (!/^https?:\/\//i.test(source)) return undefined;
  const base = source.replace(/\/+$/, "");
  return `${base}${base.endsWith(".git") ? "" : ".git"}/info/lfs`;
}

/**
 * @param url of the server, without `/objects/batch`; a user name and password in it are used and never shown
 * @throws OdbError invalid, when it is no http(s) URL
 */
export function lfsClient(url: string, credentials?: CredentialProvider): LfsClient {
  const name = withoutUserinfo(url);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new OdbError("invalid", `${name}: an LFS server has an http:// or https:// URL`);
  }
  const base = new URL(url);
  const own = takeUserinfo(base) ?? credentials;
  const client = httpClient(base, { credentials: own });
  const agents = { "http:": new Agent({ keepAlive: true }), "https:": new HttpsAgent({ keepAlive: true }) };
  return {
    name,
    locate: (objects, signal) => locate(client, base, name, objects, signal),
    async download({ oid }, { href, headers }, signal) {
      const what = `fetch LFS object ${oid} from ${href.origin}`;
      const request = { method: "GET", url: href, what, ...(signal && { signal }) } as const;
      const agent = agents[href.protocol as "http:" | "https:"];
      const bare = Object.keys(headers).length === 0;
      const first = bare
        ? await client.send(request)
        : await sendOnce(request, href, headers, agent, { idleMs: silenceLimit() });
      const moved = first.status >= 300 && first.status < 400;
      if (moved) first.discard();
      // Where it leads, the action's headers are nobody's business.
      const response = moved
        ? await client.send({ ...request, url: redirected(first.headers.location, href, what) })
        : first;
      if (response.status === 200) return response.content();
      response.discard();
      throw httpError(what, response.status);
    },
    [Symbol.dispose]() {
      client.close();
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

async function locate(
  client: HttpClient,
  base: URL,
  name: string,
  objects: readonly LfsObject[],
  signal: AbortSignal | undefined,
): Promise<Map<string, LfsAction>> {
  const what = `ask ${name} for LFS objects`;
  const body = { operation: "download", transfers: ["basic"], hash_algo: "sha256", objects };
  const response = await client.send({
    method: "POST",
    url: new URL(`${base.href.replace(/\/+$/, "")}/objects/batch`),
    headers: { accept: MEDIA_TYPE, "content-type": MEDIA_TYPE },
    body: sourceOf(Buffer.from(JSON.stringify(body))),
    what,
    ...(signal && { signal }),
  });
  if (response.status !== 200) {
    response.discard();
    throw httpError(what, response.status);
  }
  const wanted = new Set(objects.map(({ oid }) => oid));
  const answers = parseAnswer(await collect(response.content(), ANSWER_LIMIT), what);
  const found = new Map<string, LfsAction>();
  for (const answer of answers) {
    const { oid, action } = parseObject(answer, what);
    if (action !== undefined && wanted.has(oid)) found.set(oid, action);
  }
  return found;
}

function parseAnswer(bytes: Buffer, what: string): unknown[] {
  try {
    const { objects } = JSON.parse(bytes.toString()) as { objects?: unknown };
    if (Array.isArray(objects)) return objects;
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
  }
  throw new OdbError("protocol", `${what}: the answer is none of the LFS batch API`);
}

/** @returns no action for an object that the server does not have */
function parseObject(value: unknown, what: string): { oid: string; action?: LfsAction } {
  const { oid, error, actions } = (value ?? {}) as {
    oid?: unknown;
    error?: { code?: unknown; message?: unknown };
    actions?: { download?: { href?: unknown; header?: unknown } };
  };
  if (typeof oid !== "string") throw new OdbError("protocol", `${what}: an object without an oid`);
  if (error !== undefined) {
    if (error.code === 404 || error.code === 410) return { oid };
    throw httpError(`${what}: ${oid}`, Number(error.code));
  }
  const { href, header = {} } = actions?.download ?? {};
  const isUrl = typeof href === "string" && URL.canParse(href) && /^https?:\/\//i.test(href);
  const headers = Object.entries(header as object);
  if (!isUrl || !headers.every(([, text]) => typeof text === "string")) {
    throw new OdbError("protocol", `${what}: no http(s) address for ${oid}`);
  }
  return { oid, action: { href: new URL(href), headers: Object.fromEntries(headers) } };
}

function redirected(location: string | undefined, from: URL, what: string): URL {
  const to =
    location !== undefined && URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to && /^https?:$/.test(to.protocol)) return to;
  throw new OdbError("unsupported", `${what}: redirected where it cannot go`);
}

function httpError(what: string, status: number): OdbError {
  if (status === 401 || status === 403)
    return new OdbError("denied", `${what}: not allowed (HTTP ${status})`);
  if (status === 404)
    return new OdbError("config", `${what}: there is no LFS server (HTTP 404): name it by --lfs-url`);
  const code = status === 429 || status >= 500 ? "unavailable" : "protocol";
  return new OdbError(code, `${what}: HTTP ${status}`);
}
