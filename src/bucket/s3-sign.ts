/** AWS Signature Version 4, in headers. */

import { createHmac, hash } from "node:crypto";

/** Who asks. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** What is signed of a request. */
export interface Signable {
  readonly method: string;
  /** Encoded by {@link encodePath}. */
  readonly path: string;
  /** As {@link encodeQuery} gives it. */
  readonly query: string;
  /** Names in lower case, `host` among them. All are signed. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body in hex, or a word of S3's that stands for it. */
  readonly payload: string;
}

/** The word for a body that is not hashed beforehand. */
export const UNSIGNED = "UNSIGNED-PAYLOAD";

/** SHA-256 of nothing, in hex. */
export const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Signs requests. @returns the headers to send: those given, and what the signature needs */
export type Signer = (request: Signable, who: Credentials, time: Date) => Record<string, string>;

/** A signer for one region; it keeps the key of the day. */
export function signer(region: string, service = "s3"): Signer {
  let kept: { secret: string; day: string; key: Buffer } | undefined;
  const keyOf = (secret: string, day: string) => {
    if (kept?.secret !== secret || kept.day !== day)
      kept = { secret, day, key: signingKey(secret, day, region, service) };
    return kept.key;
  };
  return (request, who, time) => {
    const date = time.toISOString().replace(/[-:]|\.\d+/g, "");
    const day = date.slice(0, 8);
    const headers: Record<string, string> = {
      ...request.headers,
      "x-amz-content-sha256": request.payload,
      "x-amz-date": date,
      ...(who.sessionToken && { "x-amz-security-token": who.sessionToken }),
    };
    const names = Object.keys(headers).sort();
    const signed = names.join(";");
    const canonical = [
      request.method,
      request.path,
      request.query,
      ...names.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/\s+/g, " ")}`),
      "",
      signed,
      request.payload,
    ].join("\n");
    const scope = `${day}/${region}/${service}/aws4_request`;
    const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash("sha256", canonical, "hex")}`;
    const signature = createHmac("sha256", keyOf(who.secretAccessKey, day)).update(text).digest("hex");
    headers.authorization = `AWS4-HMAC-SHA256 Credential=${who.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    return headers;
  };
}

/** A path of which every segment is encoded, once: S3 does not encode twice, nor resolve dots. */
export function encodePath(path: string): string {
  return plainPath.test(path) ? path : path.split("/").map(encode).join("/");
}

/** A query in the order in which it is signed. */
export function encodeQuery(query: Readonly<Record<string, string | undefined>>): string {
  const pairs: [string, string][] = [];
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) pairs.push([encode(name), encode(value)]);
  return pairs
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map((pair) => pair.join("="))
    .join("&");
}

const plainPath = /^[A-Za-z0-9/._~-]*$/;

/** RFC 3986: only unreserved characters stay as they are. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function signingKey(secret: string, day: string, region: string, service: string): Buffer {
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of [day, region, service, "aws4_request"])
    key = createHmac("sha256", key).update(part).digest();
  return key;
}
