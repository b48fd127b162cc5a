/** The one error class of git-odb, its closed list of codes, and what each means to git and to a shell. */

/**
 * What went wrong, as far as a caller can act on it. "Absent" is not here: an absent object is `undefined`,
 * so that no `catch` can mistake a denied or broken read for "not found".
 *
 * - `invalid`: the caller's input is wrong (oid, size, kind, URL, option); exit 129
 * - `unavailable`: a passing failure (5xx, 429, reset, timeout); the only code that is retried
 * - `integrity`: bytes do not hash to their name, or are not of the size promised
 * - `full`: no space, quota reached
 * - `denied`: not allowed (403, EACCES)
 * - `config`: the set-up is wrong (no such bucket, ODB not configured, not a repository)
 * - `unsupported`: the store or the git at hand cannot do this
 * - `conflict`: somebody else changed it first, or what is there is not ours to replace
 * - `protocol`: the peer broke the wire format
 * - `aborted`: interrupted (SIGINT, EPIPE, AbortSignal)
 * - `bug`: anything else
 */
export type ErrorCode =
  | "invalid"
  | "unavailable"
  | "integrity"
  | "full"
  | "denied"
  | "config"
  | "unsupported"
  | "conflict"
  | "protocol"
  | "aborted"
  | "bug";

/** Options of {@link OdbError}. */
export interface OdbErrorOptions {
  /** The failure below this one. */
  cause?: unknown;
  /** How long the peer asked us to wait before the next try, in milliseconds (`Retry-After`). */
  retryAfterMs?: number;
}

/**
 * Every failure that git-odb reports. `message` is one line that names the object, file or URL (never a
 * credential) and, where there is one, the next step.
 */
export class OdbError extends Error {
  static {
    OdbError.prototype.name = "OdbError";
  }

  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: OdbErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * Gives `error` as an {@link OdbError}: itself, or wrapped with the code its `errno` stands for.
 *
 * @param context what was being done, put before the message: `write objects/ab/…`
 */
export function toOdbError(error: unknown, context?: string): OdbError {
  if (error instanceof OdbError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const message = context === undefined ? text : `${context}: ${text}`;
  return new OdbError(codeOf(error), message, { cause: error });
}

/** The exit code of a command that ends with `error`: git's own numbers. */
export function exitCodeOf(error: OdbError): number {
  if (error.code === "invalid") return 129;
  if (error.code === "aborted") return isBrokenPipe(error) ? 141 : (codeOfSignal[String(error.cause)] ?? 130);
  return 128;
}

/** What ended by a signal ends as a shell would say it: 128 and the signal's number. */
const codeOfSignal: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** Whether the same call may succeed if it is made again. */
export function isTransient(error: unknown): boolean {
  return error instanceof OdbError && error.code === "unavailable";
}

const codeOfErrno: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  EPIPE: "aborted",
  ABORT_ERR: "aborted",
  ECONNRESET: "unavailable",
  ECONNREFUSED: "unavailable",
  ECONNABORTED: "unavailable",
  ETIMEDOUT: "unavailable",
  EHOSTUNREACH: "unavailable",
  ENETUNREACH: "unavailable",
  ENOTFOUND: "unavailable",
  EAI_AGAIN: "unavailable",
  EMFILE: "unavailable",
  ENFILE: "unavailable",
};

function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof Error)) return "bug";
  if (error.name === "AbortError") return "aborted";
  const errno = (error as NodeJS.ErrnoException).code;
  return (errno !== undefined && codeOfErrno[errno]) || "bug";
}

function isBrokenPipe(error: OdbError): boolean {
  return (error.cause as NodeJS.ErrnoException | undefined)?.code === "EPIPE";
}
