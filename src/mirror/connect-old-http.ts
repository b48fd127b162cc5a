/**
 * Version 0 of git's protocol over http(s) (gitprotocol-http(5)): one GET for the refs, one POST for the pack. It is spoken by
 * a client of our own, as git's transport hands only version 2 through.
 */

import { Readable, Writable } from "node:stream";
import { type HttpClient, httpClient } from "../bucket/http-client.js";
import type { HttpResponse } from "../bucket/http-exchange.js";
import type { CredentialProvider } from "../bucket/options.js";
import { OdbError } from "../errors.js";
import { type Content, sourceOf } from "../object/content.js";
import { withoutUserinfo } from "../repo/upload-pack.js";
import type { UploadPack } from "../repo/upload-pack-connection.js";
import { takeUserinfo } from "./userinfo.js";

/** How to connect. */
export interface OldHttpOptions {
  readonly signal?: AbortSignal;
  /** Asked when the URL has none. */
  readonly credentials?: CredentialProvider | undefined;
}

const REFS = "/info/refs?service=git-upload-pack";

/** The last packet of a request. */
const DONE = Buffer.from("0009done\n");

/**
 * Connects to a server that is known not to speak version 2.
 *
 * @throws OdbError unsupported, when it is no smart server; denied, config or unavailable, when it cannot be reached
 */
export async function connectOldHttp(url: string, options: OldHttpOptions): Promise<UploadPack> {
  const place = withoutUserinfo(url);
  const { client, service, refs } = await discover(new URL(url), place, options);
  const request = gathered();
  async function* answers(): Content {
    yield* refs.content();
    const what = `fetch from ${place}`;
    const response = await client.send({
      method: "POST",
      url: new URL(`${service}/git-upload-pack`),
      headers: {
        "content-type": "application/x-git-upload-pack-request",
        accept: "application/x-git-upload-pack-result",
      },
      body: sourceOf(await request.whole),
      what,
      ...(options.signal && { signal: options.signal }),
    });
    if (response.status !== 200) throw failure(response, what);
    yield* response.content();
  }
  const output = Readable.from(answers(), { objectMode: false });
  const close = () => {
    output.destroy();
    client.close();
  };
  // What fails is told to whoever reads.
  output.on("error", () => {});
  return { input: request.input, output, stateless: false, complaint: () => "", close };
}

interface Discovered {
  readonly client: HttpClient;
  /** Where the repository is, after redirects; without a final `/`. */
  readonly service: string;
  readonly refs: HttpResponse;
}

async function discover(base: URL, place: string, options: OldHttpOptions): Promise<Discovered> {
  const { credentials, signal } = options;
  const own = takeUserinfo(base);
  const what = `read the refs of ${place}`;
  const ask = async (repository: string, provider: CredentialProvider | undefined) => {
    const client = httpClient(new URL(repository), { credentials: provider });
    const request = { method: "GET", url: new URL(repository + REFS), what } as const;
    try {
      const refs = await client.send({ ...request, ...(signal && { signal }) });
      return { client, service: serviceOf(refs, what), refs };
    } catch (error) {
      client.close();
      throw error;
    }
  };
  let found = await ask(base.href.replace(/\/+$/, ""), own ?? credentials);
  if (new URL(found.service).origin !== base.origin) {
    // Another server has answered: what it wants to know is asked for its own sake.
    found.refs.discard();
    found.client.close();
    found = await ask(found.service, credentials);
  }
  const { client, refs } = found;
  if (refs.status === 200 && refs.headers["content-type"] === "application/x-git-upload-pack-advertisement") {
    return found;
  }
  client.close();
  if (refs.status !== 200) throw failure(refs, what);
  refs.discard();
  throw new OdbError(
    "unsupported",
    `${place} is served by git's dumb HTTP protocol, and not by a git server: "git clone --mirror" it, and mirror the clone`,
  );
}

/** @throws OdbError unsupported, when a redirect led to something else */
function serviceOf(refs: HttpResponse, what: string): string {
  if (refs.url.href.endsWith(REFS)) return refs.url.href.slice(0, -REFS.length);
  refs.discard();
  throw new OdbError(
    "unsupported",
    `${what}: redirected to ${refs.url.origin}${refs.url.pathname}, which is none`,
  );
}

/** Takes a request in until its last packet. */
function gathered(): { input: Writable; whole: Promise<Buffer> } {
  const chunks: Buffer[] = [];
  const { promise: whole, resolve } = settleable<Buffer>();
  const input = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk);
      if (chunk.subarray(-DONE.length).equals(DONE)) resolve(Buffer.concat(chunks));
      done();
    },
  });
  return { input, whole };
}

function settleable<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

function failure(response: HttpResponse, what: string): OdbError {
  response.discard();
  const { status } = response;
  const denied = status === 401 || status === 403;
  const code = denied ? "denied" : status === 404 || status === 410 ? "config" : "unavailable";
  return new OdbError(code, `${what}: ${denied ? "not allowed " : ""}(HTTP ${status})`);
}
