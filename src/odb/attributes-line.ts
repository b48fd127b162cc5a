/** One line of a .gitattributes file, read as git's parse_attr_line does (attr.c, quote.c; gitattributes(5)). */

import { OdbError } from "../errors.js";

/** What a line says of the `odb` attribute: its value, `-odb` (false), a bare `odb` (true). */
export type OdbState = string | boolean;

/** A line that gives attributes to a pattern. All text is latin1: one character a byte. */
export interface AttributeLine {
  /** The pattern, unquoted. */
  readonly pattern: string;
  /** Each attribute on the line, in order, as written, with its place in the line. */
  readonly attributes: readonly { readonly text: string; readonly start: number }[];
}

/** git ignores a line this long (ATTR_MAX_LINE_LENGTH). */
export const LINE_LIMIT = 2048;

const blanks = /[ \t\r\n]+/y;
const word = /[^ \t\r\n]+/y;
const attributeName = /^[A-Za-z0-9_.][-A-Za-z0-9_.]*$/;

/**
 * Reads one line without its LF.
 *
 * @returns undefined for what gives no path an attribute: blank lines, comments, macros, and lines that git
 *   ignores with a warning (too long, a bad attribute name, a negative pattern)
 */
export function parseAttributeLine(line: string): AttributeLine | undefined {
  const nul = line.indexOf("\0");
  if (nul >= 0) line = line.slice(0, nul);
  if (line.length >= LINE_LIMIT) return undefined;
  const start = skip(blanks, line, 0);
  if (start === line.length || line[start] === "#") return undefined;
  const head = readPattern(line, start);
  if (head.pattern.startsWith("[attr]") && head.pattern.length > 6) return undefined;
  if (head.pattern.startsWith("!")) return undefined;
  const attributes: { text: string; start: number }[] = [];
  for (let at = skip(blanks, line, head.end); at < line.length; ) {
    const end = skip(word, line, at);
    attributes.push({ text: line.slice(at, end), start: at });
    at = skip(blanks, line, end);
  }
  return attributes.every(({ text }) => isAttribute(text))
    ? { pattern: head.pattern, attributes }
    : undefined;
}

/** What one attribute says of `odb`; undefined when it is another attribute, or `!odb` (unspecified). */
export function odbStateOf(attribute: string): OdbState | undefined {
  if (attribute === "odb") return true;
  if (/^-odb(?:=|$)/.test(attribute)) return false;
  return attribute.startsWith("odb=") ? attribute.slice(4) : undefined;
}

/** Whether an attribute speaks of `odb` in any way: `odb=x`, `odb`, `-odb`, `!odb`. */
export function isOdbAttribute(attribute: string): boolean {
  return /^[-!]?odb(?:=|$)/.test(attribute);
}

/** Writes a pattern so that git reads it back: as it is, or C-quoted when it must be. */
export function formatPattern(pattern: string): string {
  return /[ \t\r\n]|^["#]/.test(pattern) ? quoteC(pattern) : pattern;
}

/**
 * Checks a pattern that a user wants to track.
 *
 * @throws OdbError invalid, when git would never match a file by it, and what to write instead
 */
export function checkPattern(pattern: string): void {
  const shown = JSON.stringify(pattern);
  if (pattern === "") throw new OdbError("invalid", "an empty pattern matches no file");
  if (pattern.includes("\0"))
    throw new OdbError("invalid", `pattern ${shown}: a NUL byte is in no file name`);
  if (pattern.startsWith("!")) {
    throw new OdbError(
      "invalid",
      `pattern ${shown}: git forbids negative patterns in .gitattributes; write "\\!" for a file name, or add "<pattern> -odb" to except files`,
    );
  }
  if (pattern.endsWith("/")) {
    throw new OdbError(
      "invalid",
      `pattern ${shown} matches no file: attributes do not reach into folders; track ${JSON.stringify(`${pattern}**`)}`,
    );
  }
  if (pattern.startsWith("[attr]")) {
    throw new OdbError(
      "invalid",
      `pattern ${shown}: git reads "[attr]" there as a macro; write "[art]" instead`,
    );
  }
}

function readPattern(line: string, start: number): { pattern: string; end: number } {
  const quoted = line[start] === '"' ? unquoteC(line, start) : undefined;
  if (quoted) return quoted;
  const end = skip(word, line, start);
  return { pattern: line.slice(start, end), end };
}

function isAttribute(text: string): boolean {
  const bare = text.replace(/^[-!]/, "").replace(/=.*$/s, "");
  return attributeName.test(bare) && !bare.startsWith("builtin_");
}

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
};

const letters: ReadonlyMap<string, string> = new Map(Object.entries(escapes).map(([to, from]) => [from, to]));

function quoteC(text: string): string {
  const quoted = text.replace(/[^ !#-[\]-~\x80-\xff]/g, (char) => {
    const letter = letters.get(char);
    return `\\${letter ?? char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
  return `"${quoted}"`;
}

/** unquote_c_style: undefined when the quotes are not well formed, which git then reads as plain text. */
function unquoteC(line: string, start: number): { pattern: string; end: number } | undefined {
  const piece = /"|[^"\\]+|\\(?:([abfnrtv"\\])|([0-3][0-7]{2}))/y;
  let pattern = "";
  piece.lastIndex = start + 1;
  for (let match = piece.exec(line); match; match = piece.exec(line)) {
    if (match[0] === '"') return { pattern, end: piece.lastIndex };
    if (match[1] !== undefined) pattern += escapes[match[1]];
    else if (match[2] !== undefined) pattern += String.fromCharCode(Number.parseInt(match[2], 8));
    else pattern += match[0];
  }
  return undefined;
}

/** The end of the run that sticky `pattern` matches at `at`, or `at`. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
