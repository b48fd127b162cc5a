/** Which stores a remote may propose, and which the user must have typed: docs/configuration.md, "Published settings". */

import { BlockList, isIP } from "node:net";
import { pathToFileURL } from "node:url";
import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import type { PublishedSettings } from "./published.js";

/** What the user said about stores that a remote proposes (`--accept-odb`). */
export interface Acceptance {
  /** `--accept-odb`: any that a remote may propose. */
  readonly any: boolean;
  /** `--accept-odb=<url>`: these, of whatever kind. */
  readonly urls: readonly string[];
}

/** `accept` and `refuse` are settled; `ask` is for the user. */
export type Verdict =
  | { readonly verdict: "accept" | "ask" }
  | { readonly verdict: "refuse"; readonly why: string };

/** What to do about proposed settings. A URL that the user typed is accepted; others as far as a remote may name them. */
export function judge({ urls }: PublishedSettings, acceptance: Acceptance): Verdict {
  const typed = new Set(acceptance.urls.map(canonical));
  const proposed = urls.filter((url) => !typed.has(canonical(url)));
  for (const url of proposed) {
    const why = whyNotFromRemote(url);
    if (why !== undefined) return { verdict: "refuse", why };
  }
  return { verdict: proposed.length === 0 || acceptance.any ? "accept" : "ask" };
}

/**
 * Why a remote may not name this store; undefined when it may: https on a public host, or S3 there.
 *
 * @throws OdbError invalid, when it is no bucket URL
 */
export function whyNotFromRemote(url: string): string | undefined {
  // A question about it would not show what it is.
  if (invisible.test(url)) return "it has characters that cannot be seen";
  const location = parseBucketUrl(url);
  switch (location.kind) {
    case "http":
      if (location.url.protocol !== "https:") return "http: is not encrypted";
      return whyNotHost(location.url.hostname);
    case "s3": {
      const { endpoint, profile, region } = location.s3;
      if (profile !== undefined) return "it names a profile of yours";
      if (region !== undefined && !/^[a-z0-9-]{1,63}$/.test(region))
        return "its region is no name of a region";
      if (endpoint === undefined) return undefined;
      const { protocol, hostname } = new URL(endpoint);
      return protocol === "https:" ? whyNotHost(hostname) : "its endpoint is http:, which is not encrypted";
    }
    default:
      return `${location.kind}: is on this machine`;
  }
}

/** The store for a question to the user: its URL, and the service it is at. */
export function describeStore(url: string): string {
  const location = parseBucketUrl(url);
  const name = location.name.replaceAll(
    new RegExp(invisible, "gu"),
    (mark) => `\\u{${mark.codePointAt(0)?.toString(16)}}`,
  );
  if (location.kind !== "s3") return name;
  const { endpoint, region } = location.s3;
  const where = endpoint ?? `Amazon${region === undefined ? "" : `, ${region}`}`;
  return `${name} (S3 service: ${where})`;
}

/** Marks that change how text is shown: another direction, nothing at all, another line. */
const invisible = /[\p{Cf}\p{Zl}\p{Zp}]/u;

/** Two spellings of one store are the same: a path and its file URL, an order of the query. */
function canonical(url: string): string {
  const location = parseBucketUrl(url);
  const query = new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?") + 1) : "");
  query.delete("layout");
  query.sort();
  const base = location.kind === "file" ? pathToFileURL(location.path).href : location.name;
  return `${base.replace(/\/+$/, "")}?${query}`;
}

/** Addresses that lead into a network of the user's, where a remote must not send requests. */
const inside = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  inside.addSubnet(net, bits, "ipv4");
}
for (const [net, bits] of [
  ["::", 96],
  ["64:ff9b::", 96],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const) {
  inside.addSubnet(net, bits, "ipv6");
}

function whyNotHost(hostname: string): string | undefined {
  const host = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  const family = isIP(host);
  if (family !== 0) {
    // An IPv4 address in IPv6's clothes is checked as what it is: the list knows ::ffff:a.b.c.d.
    return inside.check(host, family === 4 ? "ipv4" : "ipv6") ? `${host} is a private address` : undefined;
  }
  const isLocal =
    !host.includes(".") ||
    /\.(?:localhost|local|localdomain|internal|intranet|corp|home|lan|home\.arpa)$/i.test(host);
  return isLocal ? `${host} is a host of a private network` : undefined;
}

/** @throws OdbError invalid, when `--accept-odb=<url>` is no bucket URL */
export function parseAcceptance(values: readonly string[]): Acceptance {
  const urls = values.filter((value) => value !== "");
  for (const url of urls) {
    if (parseBucketUrl(url).kind === "memory")
      throw new OdbError("invalid", `--accept-odb=${url}: no such store`);
  }
  return { any: urls.length < values.length, urls };
}
