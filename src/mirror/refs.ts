/** Refs as a source has them and as `info/refs` and `HEAD` say them to plain HTTP clients (gitrepository-layout(5)). */

import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";

/** A ref; each character of its name is a byte, for a name need not be UTF-8. */
export interface Ref {
  readonly name: string;
  readonly oid: ObjectId;
  /** For an annotated tag: what it stands for in the end. */
  readonly peeled?: ObjectId;
}

/** Where HEAD points: to a ref that may not exist yet, or, detached, to an object. */
export interface Head {
  readonly symref?: string;
  readonly oid?: ObjectId;
}

/** All refs of a repository, sorted by the bytes of their names. */
export interface RefTable {
  readonly refs: readonly Ref[];
  readonly head?: Head;
}

/** `info/refs`: `<oid> TAB <name>`, each tag followed by what it stands for. */
export function formatInfoRefs(refs: readonly Ref[]): Buffer {
  const lines = refs.map(({ name, oid, peeled }) => {
    const line = `${oid}\t${name}\n`;
    return peeled === undefined ? line : `${line}${peeled}\t${name}^{}\n`;
  });
  return Buffer.from(lines.join(""), "latin1");
}

/** @throws OdbError config, when it is no `info/refs` */
export function parseInfoRefs(bytes: Buffer, what: string): Ref[] {
  const refs: { name: string; oid: ObjectId; peeled?: ObjectId }[] = [];
  for (const line of bytes.toString("latin1").split("\n")) {
    if (line === "") continue;
    const [oid = "", name = "", ...more] = line.split("\t");
    const last = refs.at(-1);
    if (!isObjectId(oid) || name === "" || more.length > 0) {
      throw new OdbError("config", `${what} is no table of refs: ${JSON.stringify(line.slice(0, 80))}`);
    }
    if (name === `${last?.name}^{}` && last !== undefined) last.peeled = oid;
    else refs.push({ name, oid });
  }
  return refs;
}

/** The file `HEAD`. A source that does not tell where an unborn HEAD points gets git's usual first branch. */
export function formatHead({ head, refs }: RefTable): Buffer {
  if (head?.symref !== undefined) return Buffer.from(`ref: ${head.symref}\n`, "latin1");
  if (head?.oid !== undefined) return Buffer.from(`${head.oid}\n`);
  const usual = ["refs/heads/main", "refs/heads/master"].find((name) =>
    refs.some((ref) => ref.name === name),
  );
  return Buffer.from(`ref: ${usual ?? "refs/heads/main"}\n`);
}

/** Every object that the refs name, each once. */
export function tipsOf({ refs, head }: RefTable): Set<ObjectId> {
  const tips = new Set(refs.map(({ oid }) => oid));
  if (head?.oid !== undefined) tips.add(head.oid);
  return tips;
}

/** Sorted as git sorts them: by bytes. */
export function sortedRefs(refs: readonly Ref[]): Ref[] {
  return [...refs].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * Only the refs that match one of the patterns; all without patterns. A pattern is a full name in which each `*`
 * stands for anything (`refs/heads/*`), or a short one (`main`, `v1.*`), then of a branch or a tag.
 *
 * A detached HEAD belongs to none of them and is left out; one at a ref that is left out stays, as unborn.
 */
export function selectRefs(table: RefTable, patterns: readonly string[]): RefTable {
  if (patterns.length === 0) return table;
  const tests = patterns.map(patternTest);
  const refs = table.refs.filter(({ name }) => tests.some((test) => test.test(name)));
  const { head } = table;
  return { refs, ...(head?.symref !== undefined && { head: { symref: head.symref } }) };
}

function patternTest(pattern: string): RegExp {
  const bytes = Buffer.from(pattern).toString("latin1");
  if (bytes === "" || /[\s~^:?[\\]/.test(bytes)) {
    throw new OdbError("invalid", `${JSON.stringify(pattern)} is no pattern of refs: expected refs/heads/*`);
  }
  const text = bytes.split("*").map(escapeText).join(".*");
  return new RegExp(bytes.startsWith("refs/") ? `^${text}$` : `^refs/(?:heads|tags)/${text}$`, "s");
}

function escapeText(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

/** Whether git would take this as the name of a ref: what a source says becomes a line of a table. */
export function isRefName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what git forbids (git-check-ref-format(1))
  if (/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\.$|\/$|\.lock(?:\/|$)|(?:^|\/)\./.test(name)) return false;
  return name.startsWith("refs/") && name.length > "refs/".length;
}
