/** Checks AWS Signature Version 4 of a request: in the Authorization header or in the query (presigned). */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { S3Error, type S3Request } from "./types.js";

/** What the chunk signatures of a streamed body continue from. */
export interface Signed {
  readonly key: Buffer;
  readonly scope: string;
  readonly date: string;
  /** The signature of the request itself: the seed of the chain. */
  readonly signature: string;
  /** Value of `x-amz-content-sha256`. */
  readonly payload: string;
}

/** The one account of the server. */
export interface Account {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const MAX_SKEW_MS = 15 * 60 * 1000;

/**
 * @param now the server's clock, in milliseconds
 * @throws S3Error AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed
 */
export function verifySignature(request: S3Request, account: Account, now: number): Signed {
  const claim = request.header("authorization") === undefined ? fromQuery(request, now) : fromHeader(request);
  if (claim.accessKeyId !== account.accessKeyId)
    throw new S3Error(403, "InvalidAccessKeyId", "no such key id");
  const skew = Math.abs(parseAmzDate(claim.date) - now);
  if (!claim.presigned && skew > MAX_SKEW_MS)
    throw new S3Error(
      403,
      "RequestTimeTooSkewed",
      "The difference between the request time and the current time is too large.",
    );
  const scope = claim.scope.join("/");
  const key = signingKey(account.secretAccessKey, claim.scope);
  const canonical = canonicalRequest(request, claim);
  const text = ["AWS4-HMAC-SHA256", claim.date, scope, sha256(canonical)].join("\n");
  const expected = createHmac("sha256", key).update(text).digest("hex");
  if (!same(expected, claim.signature))
    throw new S3Error(403, "SignatureDoesNotMatch", `signature does not match for\n${canonical}`);
  return { key, scope, date: claim.date, signature: claim.signature, payload: claim.payload };
}

/** HMAC of one text with the request's signing key, compared with what was sent. */
export function checkChunkSignature(signed: Signed, lines: readonly string[], signature: string): void {
  const kind = lines[0] ?? "";
  const text = [kind, signed.date, signed.scope, ...lines.slice(1)].join("\n");
  const expected = createHmac("sha256", signed.key).update(text).digest("hex");
  if (!same(expected, signature)) throw new S3Error(403, "SignatureDoesNotMatch", `${kind}: wrong signature`);
}

/** SHA-256 in hex. */
export function sha256(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

interface Claim {
  readonly accessKeyId: string;
  /** date, region, service, `aws4_request` */
  readonly scope: readonly string[];
  readonly date: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly payload: string;
  readonly presigned: boolean;
}

function fromHeader(request: S3Request): Claim {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      request.header("authorization") ?? "",
    );
  const [, accessKeyId, scope, headers, signature] = match ?? [];
  const date = request.header("x-amz-date");
  const payload = request.header("x-amz-content-sha256");
  if (!accessKeyId || !scope || !headers || !signature || !date || !payload)
    throw new S3Error(400, "AuthorizationHeaderMalformed");
  const signedHeaders = headers.split(";");
  for (const name of Object.keys(request.message.headers)) {
    if (name.startsWith("x-amz-") && !signedHeaders.includes(name))
      throw new S3Error(
        403,
        "AccessDenied",
        `There were headers present in the request which were not signed: ${name}`,
      );
  }
  return { accessKeyId, scope: checkScope(scope), date, signedHeaders, signature, payload, presigned: false };
}

function fromQuery(request: S3Request, now: number): Claim {
  const query = (name: string) => request.query.get(name) ?? "";
  if (query("X-Amz-Algorithm") !== "AWS4-HMAC-SHA256") throw new S3Error(403, "AccessDenied", "not signed");
  const [accessKeyId = "", ...scope] = query("X-Amz-Credential").split("/");
  const date = query("X-Amz-Date");
  const expires = Number(query("X-Amz-Expires"));
  const age = now - parseAmzDate(date);
  if (!(expires > 0 && expires <= 604_800) || age > expires * 1000 || age < -MAX_SKEW_MS)
    throw new S3Error(403, "AccessDenied", "Request has expired");
  const signedHeaders = query("X-Amz-SignedHeaders").split(";");
  return {
    accessKeyId,
    scope: checkScope(scope.join("/")),
    date,
    signedHeaders,
    signature: query("X-Amz-Signature"),
    payload: query("X-Amz-Content-Sha256") || "UNSIGNED-PAYLOAD",
    presigned: true,
  };
}

function checkScope(scope: string): string[] {
  const parts = scope.split("/");
  if (parts.length !== 4 || parts[2] !== "s3" || parts[3] !== "aws4_request")
    throw new S3Error(400, "AuthorizationHeaderMalformed", `credential scope ${scope}`);
  return parts;
}

function canonicalRequest(request: S3Request, claim: Claim): string {
  const path = request.rawPath
    .split("/")
    .map((part) => encode(decodeURIComponent(part)))
    .join("/");
  const query = [...request.query]
    .filter(([name]) => !(claim.presigned && name === "X-Amz-Signature"))
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
  const headers = claim.signedHeaders.map((name) => {
    const value = request.header(name);
    if (value === undefined)
      throw new S3Error(403, "SignatureDoesNotMatch", `signed header ${name} is missing`);
    return `${name}:${value.trim().replace(/ +/g, " ")}\n`;
  });
  return [request.method, path, query, headers.join(""), claim.signedHeaders.join(";"), claim.payload].join(
    "\n",
  );
}

/** RFC 3986: everything but unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function signingKey(secret: string, scope: readonly string[]): Buffer {
  return scope.reduce<Buffer>(
    (key, part) => createHmac("sha256", key).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
}

function parseAmzDate(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) throw new S3Error(403, "AccessDenied", `x-amz-date ${JSON.stringify(text)}`);
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

function same(left: string, right: string): boolean {
  return left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right));
}
