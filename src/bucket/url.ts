/** Bucket URLs: a path, `file://`, `http(s)://`, `s3://`, `memory:`, and the query that sets them. */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { OdbError } from "../errors.js";

/** Where an S3 bucket is and how to speak to it: `s3://<bucket>/<prefix>?endpoint=…&region=…`. */
export interface S3Location {
  readonly bucket: string;
  /** Without `/` first or last; "" for the whole bucket. */
  readonly prefix: string;
  /** http(s) URL of the service, without userinfo. */
  readonly endpoint?: string;
  readonly region?: string;
  readonly pathStyle?: boolean;
  readonly profile?: string;
  readonly storageClass?: string;
  readonly sse?: string;
  /** When the client adds checksums of its own to requests. */
  readonly checksums?: "required" | "supported";
}

/** A bucket URL taken apart. `name` is the URL without its query, for messages. */
export type BucketLocation = { readonly name: string; readonly layout?: string } & (
  | { readonly kind: "memory" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "http"; readonly url: URL }
  | { readonly kind: "s3"; readonly s3: S3Location }
);

/**
 * Takes a bucket URL apart. The query key `layout` is the store's business: it is handed on as it is. A `?` in a
 * plain path starts the query too; a folder with `?` in its name is written `file:///…%3F…`.
 *
 * @throws OdbError invalid, naming what is wrong with it; a URL with a user name or password in it is refused
 */
export function parseBucketUrl(text: string): BucketLocation {
  if (text === "" || /\p{Cc}/u.test(text)) throw new OdbError("invalid", "a bucket URL is one line of text");
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return parsePath(text);
  const { base, query } = splitQuery(text);
  if (scheme === "memory") return { kind: "memory", name: base, ...rest(query, base, []) };
  const url = parse(base);
  refuseUserinfo(url, url.host);
  if (scheme === "file") return parseFile(url, query);
  if (scheme === "http" || scheme === "https") return parseHttp(url, query);
  if (scheme === "s3") return parseS3(url, query);
  throw new OdbError("invalid", `${base}: expected a path, file://, http://, https:// or s3://`);
}

function parsePath(text: string): BucketLocation {
  const { base, query } = splitQuery(text);
  if (base === "") throw new OdbError("invalid", "a bucket URL needs a path before its ?");
  return { kind: "file", path: resolve(base), name: base, ...rest(query, base, []) };
}

function parseFile(url: URL, query: URLSearchParams): BucketLocation {
  const name = url.href;
  if (url.host !== "") throw new OdbError("invalid", `${name}: a file URL has no host (file:///path)`);
  try {
    return { kind: "file", path: fileURLToPath(url), name, ...rest(query, name, []) };
  } catch (error) {
    if (error instanceof OdbError) throw error;
    throw new OdbError("invalid", `${name}: this names no path (${(error as Error).message})`);
  }
}

function parseHttp(url: URL, query: URLSearchParams): BucketLocation {
  const name = url.href.replace(/\/+$/, "");
  const base = new URL(`${name}/`);
  return { kind: "http", url: base, name, ...rest(query, name, []) };
}

const s3Keys = ["endpoint", "region", "pathStyle", "profile", "storageClass", "sse", "checksums"] as const;

function parseS3(url: URL, query: URLSearchParams): BucketLocation {
  const bucket = url.hostname;
  if (bucket === "") throw new OdbError("invalid", "s3:// needs a bucket: s3://<bucket>/<prefix>");
  if (url.port !== "") {
    throw new OdbError("invalid", `${url.href}: the host goes into the query: ?endpoint=https://host:port`);
  }
  const prefix = decode(url.pathname, url.href).replace(/^\/+|\/+$/g, "");
  const name = `s3://${bucket}${prefix && `/${prefix}`}`;
  const common = rest(query, name, s3Keys);
  const set: Record<string, string | boolean> = {};
  for (const key of s3Keys) {
    const value = query.get(key);
    if (value !== null) set[key] = s3Value(key, value, name);
  }
  return { kind: "s3", name, s3: { bucket, prefix, ...set }, ...common };
}

function s3Value(key: (typeof s3Keys)[number], value: string, name: string): string | boolean {
  if (value === "") throw new OdbError("invalid", `${name}: ${key}= is empty`);
  if (key === "endpoint") return parseEndpoint(value, name);
  if (key === "pathStyle") return oneOf(key, value, ["true", "false"], name) === "true";
  if (key === "checksums") return oneOf(key, value, ["required", "supported"], name);
  return value;
}

function parseEndpoint(value: string, name: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new OdbError("invalid", `${name}: endpoint= is no http:// or https:// URL`);
  }
  refuseUserinfo(url, name);
  return value;
}

function oneOf(key: string, value: string, allowed: readonly string[], name: string): string {
  if (allowed.includes(value)) return value;
  throw new OdbError("invalid", `${name}: ${key}=${JSON.stringify(value)} should be ${allowed.join(" or ")}`);
}

/** The keys every URL may have; one that this kind does not know is refused by its name. */
function rest(query: URLSearchParams, name: string, known: readonly string[]): { layout?: string } {
  const seen = new Set<string>();
  for (const key of query.keys()) {
    if (key !== "layout" && !known.includes(key)) {
      const others = ["layout", ...known].join(", ");
      throw new OdbError("invalid", `${name}: unknown option ${JSON.stringify(key)} (known: ${others})`);
    }
    if (seen.has(key)) throw new OdbError("invalid", `${name}: ${key}= is given twice`);
    seen.add(key);
  }
  const layout = query.get("layout");
  return layout === null ? {} : { layout };
}

function splitQuery(text: string): { base: string; query: URLSearchParams } {
  const at = text.indexOf("?");
  if (at < 0) return { base: text, query: new URLSearchParams() };
  return { base: text.slice(0, at), query: new URLSearchParams(text.slice(at + 1)) };
}

function parse(base: string): URL {
  const url = URL.canParse(base) ? new URL(base) : undefined;
  // Not shown as it is: what does not parse may still hold a password.
  if (url === undefined)
    throw new OdbError("invalid", "this bucket URL cannot be parsed: check its host and port");
  if (url.hash !== "")
    throw new OdbError("invalid", `${url.host}${url.pathname}: a bucket URL has no #fragment`);
  return url;
}

function refuseUserinfo(url: URL, name: string): void {
  if (url.username === "" && url.password === "") return;
  throw new OdbError(
    "invalid",
    `${name}: no user name or password in the URL; use git credential (http) or an AWS profile (s3)`,
  );
}

function decode(pathname: string, name: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    throw new OdbError("invalid", `${name}: broken %-escape`);
  }
}
