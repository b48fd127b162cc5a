/**
 * The `odb` attribute of a path out of the text of `.gitattributes` files, for a library caller that has no repository
 * to ask: order, last match wins, macros, negation, folders (gitattributes(5), attr.c). With a repository, ask git.
 */

import { attributePattern, type PathMatcher } from "./attribute-pattern.js";
import { LINE_LIMIT, parseAttributeLine } from "./attributes-line.js";

/** One `.gitattributes` file. */
export interface AttributesFile {
  /** Its folder from the top of the work tree, with `/`; "" for the top. */
  readonly directory: string;
  readonly text: string | Uint8Array;
}

/** `true` for set, `false` for unset, `undefined` for not mentioned or `!odb`. */
export type ResolvedAttribute = string | boolean | undefined;

/**
 * Prepares files for many questions. Macros count in the file at the top only, as in git; that one and those in
 * folders may come in any order.
 *
 * @param attribute `odb` in this project
 * @returns a function from a path (from the top, with `/`) to the attribute
 */
export function attributeResolver(
  files: Iterable<AttributesFile>,
  attribute = "odb",
): (path: string) => ResolvedAttribute {
  const parsed = [...files].map(parseFile);
  // The deepest folder has the last word.
  parsed.sort((a, b) => b.prefix.length - a.prefix.length);
  const macros = new Map<string, readonly string[]>([["binary", ["-diff", "-merge", "-text"]]]);
  for (const { prefix, macros: own } of parsed) {
    if (prefix === "") for (const [name, words] of own) macros.set(name, words);
  }
  return (path) => {
    const bytes = Buffer.from(path).toString("latin1");
    const known = new Map<string, string | boolean | undefined>();
    for (const { prefix, rules } of parsed) {
      if (!bytes.startsWith(prefix)) continue;
      const below = bytes.slice(prefix.length);
      for (const { matches, words } of rules) {
        if (matches(below)) apply(words, known, macros);
        if (known.has(attribute)) return decoded(known.get(attribute));
      }
    }
    return undefined;
  };
}

interface Rule {
  readonly matches: PathMatcher;
  /** In the order of the line. */
  readonly words: readonly string[];
}

interface ParsedFile {
  /** Its folder with a `/` behind, or "". */
  readonly prefix: string;
  /** The last line first. */
  readonly rules: readonly Rule[];
  readonly macros: ReadonlyMap<string, readonly string[]>;
}

function parseFile({ directory, text }: AttributesFile): ParsedFile {
  const prefix = Buffer.from(directory === "" ? "" : `${directory}/`).toString("latin1");
  const rules: Rule[] = [];
  const macros = new Map<string, readonly string[]>();
  const lines = Buffer.from(text as Uint8Array)
    .toString("latin1")
    .replace(/^\xef\xbb\xbf/, "")
    .split("\n");
  for (const line of lines) {
    const macro = /^[ \t\r]*\[attr\]([^ \t\r].*)$/.exec(line)?.[1];
    const parsed = line.length < LINE_LIMIT ? parseAttributeLine(macro ?? line) : undefined;
    if (parsed === undefined) continue;
    const words = parsed.attributes.map(({ text }) => text);
    if (macro !== undefined) macros.set(parsed.pattern, words);
    else rules.unshift({ matches: attributePattern(parsed.pattern), words });
  }
  return { prefix, rules, macros };
}

/** The last word on a line counts first; what is known already stays; a macro that is set says its own words. */
function apply(
  words: readonly string[],
  known: Map<string, string | boolean | undefined>,
  macros: ReadonlyMap<string, readonly string[]>,
): void {
  for (const word of words.toReversed()) {
    const { name, value } = parseWord(word);
    if (known.has(name)) continue;
    known.set(name, value);
    if (value === true) apply(macros.get(name) ?? [], known, macros);
  }
}

/** `-odb=x` is unset, `!odb` unspecified: the sign wins over the value. */
function parseWord(word: string): { name: string; value: string | boolean | undefined } {
  const sign = /^[-!]/.exec(word)?.[0];
  const [, name = "", value] = /^[-!]?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  if (sign !== undefined) return { name, value: sign === "-" ? false : undefined };
  return { name, value: value ?? true };
}

function decoded(value: string | boolean | undefined): ResolvedAttribute {
  return typeof value === "string" ? Buffer.from(value, "latin1").toString() : value;
}
