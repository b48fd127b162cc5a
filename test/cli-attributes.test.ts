import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  editAttributesFile,
  trackedPatterns,
  trackPattern,
  untrackPattern,
} from "../src/odb/attributes-file.js";
import { formatPattern, odbStateOf, parseAttributeLine } from "../src/odb/attributes-line.js";
import { git, tempRepo } from "./support/git.js";
import { tempDir } from "./support/temp.js";

const repo = tempRepo();

/** What git makes of `text` as the top .gitattributes: the state of `odb` for each path. */
function checkAttr(text: string, paths: readonly string[], attribute = "odb"): Map<string, string> {
  writeFileSync(join(repo, ".gitattributes"), Buffer.from(text, "latin1"));
  const out = git(["check-attr", "-z", "--stdin", attribute], { cwd: repo, input: `${paths.join("\0")}\0` });
  const fields = out.split("\0");
  return new Map(paths.map((path, index) => [path, fields[index * 3 + 2] ?? "?"]));
}

const paths = [
  ..."ab",
  "a.bin",
  "b.bin",
  "a b.bin",
  "dir/a.bin",
  "dir/sub/x.psd",
  'a"b.bin',
  "#a.bin",
  "\\a.bin",
  "[attr]a",
  "!a.bin",
  "tab\there.bin",
  "new\nline.bin",
  "é.bin",
  "cr\rx.bin",
  "bell\x07.bin",
  "del\x7f.bin",
];

const pattern = fc
  .oneof(
    fc.constantFrom(...paths, "*.bin", "*", "**/*.psd", "dir/*", "dir/**", "?.bin", "/a.bin", "*\\ *"),
    fc.constantFrom("a*", "[ab].bin", '"*"', "\\#a.bin", "\\!a.bin", "#*", '"', '"a', "a\\", "*b*"),
    fc.string({ unit: fc.constantFrom(...' ab.*?"\\#/\t'), minLength: 1, maxLength: 8 }),
  )
  .filter((text) => !/^!|^\[attr\]|\/$/.test(text));

const attributes = fc.constantFrom(
  ..."odb|-odb|!odb|odb=big|odb=old|-odb=x|text|-text|diff=odb|binary|x-odb|odbs=big|m|odb=|bad@name|odb=old odb=big".split(
    "|",
  ),
);
const line = fc.oneof(
  fc.constantFrom(
    "",
    "   ",
    "# a comment odb=big",
    "[attr]m odb=macro -text",
    '"unclosed odb=big',
    "!no odb=big",
  ),
  fc
    .tuple(pattern, fc.constantFrom(" ", "\t", "   "), fc.array(attributes, { maxLength: 3 }))
    .map(([text, blank, list]) => [formatPattern(latin1(text)), ...list].join(blank)),
);
const file = fc
  .tuple(
    fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 5 }),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([lines, cut, bom]) => {
    const text = lines.map(([body, end]) => body + end).join("");
    return (bom ? "\xef\xbb\xbf" : "") + (cut ? text.replace(/\r?\n$/, "") : text);
  });

function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}

describe("attribute lines against git check-attr", () => {
  it("reads the pattern and the odb attribute of a line as git does", () => {
    fc.assert(
      fc.property(line, (text) => {
        const said = [...checkAttr(`${text}\n`, paths).values()].filter((value) => value !== "unspecified");
        const read = parseAttributeLine(text)?.attributes.findLast(({ text }) => /^[-!]?odb(=|$)/.test(text));
        const state = read && odbStateOf(read.text);
        const word = state === true ? "set" : state === false ? "unset" : state;
        const byMacro = text.includes("[attr]");
        if (!byMacro) for (const value of said) expect(value).toBe(word);
      }),
      { numRuns: 60 },
    );
  });

  it("writes a pattern so that git matches the same files by it", () => {
    for (const path of paths.filter((path) => !/^!|^\[attr\]/.test(path))) {
      const literal = path.replace(/[\\[*?]/g, "\\$&");
      const text = trackPattern("", "big", literal);
      const matched = [...checkAttr(text, paths)]
        .filter(([, value]) => value === "big")
        .map(([name]) => name);
      expect(matched.filter((name) => name === path || !name.endsWith(`/${path}`))).toEqual([path]);
    }
  });
});

describe("track", () => {
  it("adds a new pattern so that it overrules the rest, and changes nothing else", () => {
    fc.assert(
      fc.property(file, pattern, (text, added) => {
        fc.pre(!trackedAnyhow(text, added));
        const alone = checkAttr(trackPattern("", "new", added), paths);
        const before = checkAttr(text, paths);
        const edited = trackPattern(text, "new", added);
        expect(edited.startsWith(text)).toBe(true);
        for (const [path, value] of checkAttr(edited, paths)) {
          expect([path, value]).toEqual([path, alone.get(path) === "new" ? "new" : before.get(path)]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("is idempotent, and untrack takes it back", () => {
    fc.assert(
      fc.property(file, pattern, (text, added) => {
        const once = trackPattern(text, "new", added);
        expect(trackPattern(once, "new", added)).toBe(once);
        const other = trackPattern(once, "other", "*.other");
        expect(trackPattern(other, "new", added)).toBe(other);
        const taken = untrackPattern(once, "new", added);
        expect(untrackPattern(taken, "new", added)).toBe(taken);
        if (!trackedAnyhow(text, added)) {
          expect(text === "" || taken.startsWith(text) ? taken.slice(text.length).trim() : "differs").toBe(
            "",
          );
        }
        expect([...checkAttr(taken, paths, "text")]).toEqual([...checkAttr(text, paths, "text")]);
      }),
      { numRuns: 60 },
    );
  });

  it("keeps CRLF, comments, macros, other attributes, blanks and a missing final newline", () => {
    const text = "# mine\r\n[attr]big odb=old\r\n*.psd  -text   odb=old diff=x\r\n*.c text";
    expect(trackPattern(text, "big", "*.psd")).toBe(text.replace("odb=old diff", "odb=big diff"));
    expect(trackPattern(text, "big", "*.c")).toBe(`${text}\r\n*.c odb=big\r\n`);
    expect(untrackPattern(text, "old", "*.psd")).toBe(text.replace("   odb=old", ""));
    expect(untrackPattern(text, "big", "*.psd")).toBe(text);
    expect(trackPattern("a x", "big", "b c")).toBe('a x\n"b c" odb=big\n');
    expect(trackPattern("", "big", 'a "b"')).toBe('"a \\"b\\"" odb=big\n');
    expect(trackPattern("", "big", 'a"b"')).toBe('a"b" odb=big\n');
    expect(trackPattern('"a\\040b" odb=old\n', "big", "a b")).toBe('"a\\040b" odb=big\n');
  });

  it("lists what is tracked", () => {
    expect(trackedPatterns('# odb=a\n*.a odb=x odb=a\n"b \\303\\251" -text odb=b\n*.c -odb\n')).toEqual([
      { pattern: "*.a", name: "a" },
      { pattern: "b é", name: "b" },
    ]);
  });

  it("refuses patterns that git would ignore, and says what to write", () => {
    expect(() => trackPattern("", "big", "!x")).toThrow(/git forbids negative patterns/);
    expect(() => trackPattern("", "big", "dir/")).toThrow(/track "dir\/\*\*"/);
    expect(() => trackPattern("", "big", "")).toThrow(/empty pattern/);
    expect(() => trackPattern("", "big", "[attr]x")).toThrow(/macro/);
    expect(() => trackPattern("", "big", "x".repeat(2040))).toThrow(/2048 bytes/);
    expect(() => trackPattern("", "big", "a\0b")).toThrow(/NUL/);
  });
});

describe("the file", () => {
  it("is replaced whole, keeps its mode, and is left alone when nothing changes", async () => {
    const path = join(tempDir(), ".gitattributes");
    expect(await editAttributesFile(path, (text) => trackPattern(text, "big", "*.bin"))).toBe(true);
    chmodSync(path, 0o640);
    const inode = statSync(path).ino;
    expect(await editAttributesFile(path, (text) => trackPattern(text, "big", "*.bin"))).toBe(false);
    expect(statSync(path).ino).toBe(inode);
    expect(await editAttributesFile(path, (text) => trackPattern(text, "big", "é"))).toBe(true);
    expect(statSync(path).mode & 0o7777).toBe(0o640);
    expect(readFileSync(path, "utf8")).toBe("*.bin odb=big\né odb=big\n");
    expect(await readdir(join(path, ".."))).toEqual([".gitattributes"]);
  });

  it("loses nothing when several edit it at once", async () => {
    const path = join(tempDir(), ".gitattributes");
    const patterns = Array.from({ length: 8 }, (_, index) => `*.${index}`);
    await Promise.all(
      patterns.map((pattern) => editAttributesFile(path, (text) => trackPattern(text, "big", pattern))),
    );
    expect(
      trackedPatterns(readFileSync(path, "latin1"))
        .map(({ pattern }) => pattern)
        .sort(),
    ).toEqual(patterns);
  });

  it("leaves file and folder as they were when the edit throws, and refuses a symbolic link", async () => {
    const dir = tempDir();
    const path = join(dir, ".gitattributes");
    writeFileSync(path, "keep\n");
    await expect(editAttributesFile(path, (text) => trackPattern(text, "big", "!x"))).rejects.toThrow(
      /negative/,
    );
    expect(readFileSync(path, "utf8")).toBe("keep\n");
    expect(await readdir(dir)).toEqual([".gitattributes"]);
    mkdirSync(join(dir, "sub"));
    symlinkSync("../.gitattributes", join(dir, "sub/.gitattributes"));
    await expect(editAttributesFile(join(dir, "sub/.gitattributes"), () => "x")).rejects.toThrow(
      /symbolic link/,
    );
  });

  it("names the lock when another process holds it", async () => {
    const path = join(tempDir(), ".gitattributes");
    writeFileSync(`${path}.lock`, "");
    await expect(editAttributesFile(path, () => "x")).rejects.toThrow(/\.gitattributes\.lock exists/);
  });
});

/** Whether a line of this very pattern speaks of odb already. */
function trackedAnyhow(text: string, pattern: string): boolean {
  return text.split("\n").some((body, index) => {
    const line = parseAttributeLine(index === 0 ? body.replace(/^\xef\xbb\xbf/, "") : body);
    return (
      line?.pattern === latin1(pattern) && line.attributes.some(({ text }) => /^[-!]?odb(=|$)/.test(text))
    );
  });
}
