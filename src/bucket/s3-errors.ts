/** Failures of S3 calls as OdbErrors: what each code and status means, and what to do about it. */

import { type ErrorCode, OdbError, toOdbError } from "../errors.js";
import { abortedError } from "./flow.js";
import type { S3Location } from "./url.js";

/** The SDK's exceptions, as far as they are read here. */
interface SdkError extends Error {
  readonly code?: string;
  readonly Code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** Signatures older than this are refused by S3, in milliseconds. */
const CLOCK_TOLERANCE_MS = 15 * 60 * 1000;

/** The HTTP status of the answer below an error of `S3Connection.call`. */
export function statusOf(error: unknown): number | undefined {
  return answerOf(error)?.status;
}

/** S3's own code of the answer below an error (`NoSuchKey`); a HEAD has none. */
export function s3CodeOf(error: unknown): string | undefined {
  return answerOf(error)?.Code;
}

/** What is kept of the SDK's exception: itself it holds the request with its signature, which no trace may show. */
class S3Answer extends Error {
  readonly status: number | undefined;
  readonly Code: string;

  constructor(error: SdkError) {
    super(error.message);
    this.name = error.name;
    this.Code = error.Code ?? error.name;
    this.status = error.$metadata?.httpStatusCode;
  }
}

/** Whether the key (not the bucket) is absent. For HEAD requests the two look alike: see `assertBucket`. */
export function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && s3CodeOf(error) !== "NoSuchBucket" && s3CodeOf(error) !== "NoSuchUpload";
}

/** Turns whatever a call threw into an OdbError that has it as its cause. */
export function s3Failure(
  error: unknown,
  what: string,
  location: S3Location,
  signal?: AbortSignal,
): OdbError {
  if (error instanceof OdbError) return error;
  if (signal?.aborted) return abortedError(what, error);
  if (!(error instanceof Error)) return toOdbError(error, what);
  const { code, hint } = meaningOf(error, location);
  if (code === undefined) return toOdbError(error, what);
  const retryAfterMs = retryAfterOf(error);
  return new OdbError(code, `${what}: ${hint}`, {
    cause: new S3Answer(error),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

interface Meaning {
  readonly code: ErrorCode | undefined;
  readonly hint: string;
}

function meaningOf(error: SdkError, location: S3Location): Meaning {
  return byName(error, location) ?? byStatus(error, location) ?? byNetwork(error, location);
}

const credentialHelp =
  "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or profile= in the URL, or run `aws configure`";

/** What S3's codes (and the SDK's own) mean. */
function byName(error: SdkError, location: S3Location): Meaning | undefined {
  const name = error.Code ?? error.name;
  switch (name) {
    case "NoSuchBucket":
      return { code: "config", hint: `there is no bucket ${location.bucket}: create it, or mend the URL` };
    case "InvalidBucketName":
      return { code: "invalid", hint: `${location.bucket} is no name for a bucket: mend the URL` };
    case "PermanentRedirect":
    case "IllegalLocationConstraintException":
    case "AuthorizationHeaderMalformed":
      return { code: "config", hint: otherRegion(error, location) };
    case "RequestTimeTooSkewed":
      return { code: "config", hint: skewed(error) };
    case "CredentialsProviderError":
      return { code: "denied", hint: `no AWS credentials found: ${credentialHelp}` };
    case "ExpiredToken":
    case "ExpiredTokenException":
    case "TokenRefreshRequired":
      return { code: "denied", hint: "the AWS session has expired: log in again (`aws sso login`)" };
    case "InvalidAccessKeyId":
    case "SignatureDoesNotMatch":
    case "InvalidToken":
      return { code: "denied", hint: `the AWS credentials are not accepted (${name}): ${credentialHelp}` };
    case "QuotaExceeded":
    case "XMinioStorageFull":
      return { code: "full", hint: `the bucket's quota is used up (${name})` };
    case "MissingContentLength":
      return {
        code: "config",
        hint: "the service refuses streamed checksums: add checksums=required to the URL",
      };
    case "SlowDown":
    case "RequestTimeout":
    case "ConditionalRequestConflict":
    case "OperationAborted":
    case "BadDigest":
    case "XAmzContentSHA256Mismatch":
    case "IncompleteBody":
      return { code: "unavailable", hint: `${name}: try again later` };
    default:
      return undefined;
  }
}

function byStatus(error: SdkError, location: S3Location): Meaning | undefined {
  const status = error.$metadata?.httpStatusCode;
  const name = error.Code ?? error.name;
  const said = `${status}${name === "" || name === String(status) ? "" : ` ${name}`}`;
  if (status === undefined || status < 300) return undefined;
  if (status === 301 || status === 307) return { code: "config", hint: otherRegion(error, location) };
  if (status === 401 || status === 403) {
    if (clockOffset(error) > CLOCK_TOLERANCE_MS) return { code: "config", hint: skewed(error) };
    return { code: "denied", hint: `access denied (${said}): check the credentials' rights on the bucket` };
  }
  if (status === 507) return { code: "full", hint: `no space left in the store (${said})` };
  if (status === 501 && /checksum|trailer/i.test(error.message))
    return { code: "config", hint: "the service refuses checksums: add checksums=required to the URL" };
  if (status === 501 || status === 405)
    return { code: "unsupported", hint: `the service does not offer this (${said})` };
  if (status >= 500 || status === 429 || status === 408 || status === 409)
    return { code: "unavailable", hint: `the service answers ${said}: try again later` };
  if (status === 404) return { code: "config", hint: `not there (${said}): check bucket and endpoint` };
  return { code: "invalid", hint: `the service refuses the request (${said}: ${oneLine(error.message)})` };
}

/** Certificates, settings and answers that are not S3's; other network failures are known by their errno. */
function byNetwork(error: SdkError, location: S3Location): Meaning {
  const where = location.endpoint ?? "Amazon S3";
  const code = error.code ?? "";
  if (code === "ECONNRESET" || code === "EPIPE")
    return { code: "unavailable", hint: `the connection to ${where} broke: try again later` };
  if (error.name === "TimeoutError" || code === "ERR_STREAM_PREMATURE_CLOSE")
    return { code: "unavailable", hint: `no answer from ${where} in time: try again later` };
  if (/CERT|SELF_SIGNED|ISSUER|EPROTO|ERR_SSL|ERR_TLS/.test(code))
    return {
      code: "config",
      hint: `no trusted TLS connection to ${where} (${code}): check endpoint= and certificates`,
    };
  if (/region/i.test(error.message) && /missing|not set/i.test(error.message))
    return { code: "config", hint: "no region: add region= to the URL, or set AWS_REGION" };
  if (/could not resolve profile|profile .* (could not|was not) (be )?found/i.test(error.message))
    return { code: "config", hint: `${oneLine(error.message)}: check profile= and ~/.aws/config` };
  if (error.name === "SyntaxError" || /deserializ|parse/i.test(error.message))
    return { code: "config", hint: `${where} does not answer as S3 does: check endpoint=` };
  return { code: undefined, hint: "" };
}

function otherRegion(error: SdkError, location: S3Location): string {
  const region = error.$response?.headers?.["x-amz-bucket-region"] ?? error.Region;
  const next = region ? `add region=${region} to the URL` : "check region= and endpoint= of the URL";
  return `the bucket ${location.bucket} is not served here: ${next}`;
}

function skewed(error: SdkError): string {
  const minutes = Math.round(clockOffset(error) / 60_000);
  const by = minutes > 0 ? ` (by ${minutes} minutes)` : "";
  return `the clock of this machine and that of the store differ${by}: set the clock right`;
}

/** Difference to the server's clock in milliseconds; 0 when it did not tell. */
function clockOffset(error: SdkError): number {
  const date = Date.parse(error.$response?.headers?.date ?? "");
  return Number.isNaN(date) ? 0 : Math.abs(date - Date.now());
}

function retryAfterOf(error: SdkError): number | undefined {
  const value = error.$response?.headers?.["retry-after"];
  if (value === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds * 1000);
}

function answerOf(error: unknown): S3Answer | undefined {
  return error instanceof OdbError && error.cause instanceof S3Answer ? error.cause : undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 200);
}
