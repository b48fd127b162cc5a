/** Patterns of gitattributes(5), matched by minimatch where there is no git to ask (wildmatch.c, dir.c). */

import { Minimatch } from "minimatch";

/** Matches a path that lies below the pattern's folder. Path and pattern are latin1: one character a byte. */
export type PathMatcher = (path: string) => boolean;

/** git's wildcards only: no braces, no extended globs, no comments, a leading dot is nothing special. */
const options = {
  dot: true,
  nobrace: true,
  noext: true,
  nocomment: true,
  nonegate: true,
  preserveMultipleSlashes: true,
  optimizationLevel: 0,
  platform: "linux",
} as const;

/**
 * Reads a pattern: without a slash it is matched against the last part of a path, else against the path from the
 * folder of its `.gitattributes` on.
 *
 * Stars right behind other characters of a name (`/a**`) stay within it, as gitignore(5) says; gits before 2.52 let them
 * reach across folders.
 */
export function attributePattern(pattern: string): PathMatcher {
  // Attributes are of files; such a pattern matches folders only.
  if (pattern.endsWith("/") || pattern === "") return () => false;
  if (pattern.includes("/")) return globMatcher(pattern.replace(/^\//, ""));
  const matches = globMatcher(pattern.replace(/\*{2,}/g, "*"));
  return (path) => matches(path.slice(path.lastIndexOf("/") + 1));
}

function globMatcher(pattern: string): PathMatcher {
  const glob = normalize(pattern);
  if (glob === undefined) return () => false;
  const matcher = new Minimatch(glob, options);
  return (path) => matcher.match(path);
}

/** One token of a glob: an escape, a run of stars, a class, any other character. */
const token = /\\.|\\$|\*+|\[[!^]?\]?(?:\[:[a-z]*:\]|\\.|[^\]\\])*\]?|./gs;

/** A glob that minimatch reads as wildmatch reads `pattern`; undefined for one that can match nothing. */
function normalize(pattern: string): string | undefined {
  let glob = "";
  for (const [piece] of pattern.matchAll(token)) {
    if (piece === "\\") return undefined;
    if (!piece.startsWith("[")) {
      glob += piece === "\\/" ? "/" : piece;
      continue;
    }
    const inside = classOf(piece);
    if (inside === undefined) return undefined;
    glob += inside;
  }
  // A run of stars that fills a part is one `**`, elsewhere it is one `*`.
  return glob
    .split("/")
    .map((part) => (/^\*{2,}$/.test(part) ? "**" : part.replace(/(?<!\\)\*{2,}/g, "*")))
    .join("/");
}

/** POSIX classes, in ASCII as git has them. */
const posix: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  blank: " \t",
  cntrl: "\x01-\x1f\x7f",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`{-~",
  space: " \t-\r",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};

/** A bracket expression with its POSIX classes spelled out. @returns undefined when it is not closed */
function classOf(piece: string): string | undefined {
  const body = /^\[([!^]?)(\]?(?:\[:[a-z]*:\]|\\.|[^\]\\])*)\]$/s.exec(piece);
  if (body === null || body[2] === undefined || body[2] === "") return undefined;
  const spelled = withoutSlash(body[2]).replace(/\[:([a-z]*):\]/g, (_, name: string) => posix[name] ?? "");
  // A class of slashes only matches nothing; all but slashes is any character.
  if (spelled === "") return body[1] === "" ? undefined : "?";
  return `[${body[1] === "" ? "" : "!"}${spelled.replace(/^\]/, "\\]")}]`;
}

/** No class matches a slash, and minimatch would cut the pattern at one; as the end of a range it has a neighbour. */
function withoutSlash(set: string): string {
  return set
    .replace(/(?<=[^\\])-\\?\//g, "-.")
    .replace(/\\?\/-/g, "0-")
    .replace(/\\?\//g, "");
}
