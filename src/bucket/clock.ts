/** What a server believes the time to be: signed requests to S3 are refused when the clocks differ by 15 minutes. */

import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { CallOptions } from "./bucket.js";
import { parseBucketUrl } from "./url.js";

/** A server that does not answer for so long is not asked further. In milliseconds. */
const PATIENCE_MS = 5000;

/**
 * How far the clock of this machine is ahead of the server's, by the `Date` of an answer to a request without
 * credentials. Exact to a second or so.
 *
 * @returns milliseconds; undefined for a bucket without a server, or a server that does not answer or tell
 */
export async function clockAhead(
  bucketUrl: string,
  { signal }: CallOptions = {},
): Promise<number | undefined> {
  const url = serverOf(bucketUrl);
  if (url === undefined) return undefined;
  const sent = Date.now();
  const told = await dateOf(url, signal);
  if (told === undefined) return undefined;
  const arrived = Date.now();
  // The server wrote its date, cut to seconds, somewhere between the two.
  if (told + 1000 < sent) return sent - (told + 1000);
  return told > arrived ? arrived - told : 0;
}

function serverOf(bucketUrl: string): URL | undefined {
  const location = parseBucketUrl(bucketUrl);
  if (location.kind === "http") return location.url;
  if (location.kind !== "s3") return undefined;
  const { endpoint, region } = location.s3;
  return new URL(endpoint ?? `https://s3.${region ?? "us-east-1"}.amazonaws.com`);
}

function dateOf(url: URL, signal: AbortSignal | undefined): Promise<number | undefined> {
  const start = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve) => {
    const request = start(url, {
      method: "HEAD",
      agent: false,
      timeout: PATIENCE_MS,
      ...(signal && { signal }),
    });
    // Whether the store can be reached is another question, asked with credentials.
    request.on("error", () => resolve(undefined));
    request.on("timeout", () => request.destroy());
    request.on("close", () => resolve(undefined));
    request.on("response", (response) => {
      response.resume();
      const time = Date.parse(response.headers.date ?? "");
      resolve(Number.isNaN(time) ? undefined : time);
    });
    request.end();
  });
}
