/** GIT_ODB_TRACE: what git-odb does, line by line, for a person who looks for a fault. Secrets are taken out. */

import { appendFileSync } from "node:fs";
import { isAbsolute } from "node:path";

/** Takes one line, without its LF. */
export type Tracer = (line: string) => void;

/**
 * The tracer that the environment asks for, as git's own GIT_TRACE: `1`, `2` or `true` to stderr, an absolute path to
 * append to that file. undefined when it asks for none, so that callers can leave out the work.
 */
export function tracer(env: NodeJS.ProcessEnv = process.env): Tracer | undefined {
  const target = env.GIT_ODB_TRACE ?? "";
  if (/^(?:1|2|true)$/i.test(target)) return (line) => void process.stderr.write(`${redact(line)}\n`);
  if (!isAbsolute(target)) return undefined;
  // Synchronous: the last line before a crash is the one that is wanted.
  return (line) => appendFileSync(target, `${redact(line)}\n`, { mode: 0o600 });
}

/**
 * Takes secrets out of a text: userinfo of URLs, Authorization and cookie headers, and query parameters and `key=value`
 * pairs whose name says that they are secret (signatures, tokens, passwords, keys).
 */
export function redact(text: string): string {
  return text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^/?#\s@]*@/gi, "$1<redacted>@")
    .replace(/\b((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s*[:=]\s*)[^\r\n]*/gi, "$1$2<redacted>")
    .replace(secretPair, "$1<redacted>");
}

const secretPair =
  /\b([a-z0-9_.-]*(?:password|passwd|secret|token|signature|credential|access[-_]?key(?:[-_]?id)?|api[-_]?key)["']?\s*[=:]\s*["']?)[^&\s"',;]+/gi;
