import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attributeResolver } from "../../src/odb/attribute-resolver.js";
import { readOdbConfig } from "../../src/odb/config.js";
import { selector, selectPaths } from "../../src/odb/select.js";
import { attributesOf } from "../../src/repo/attributes.js";
import { openRepository } from "../../src/repo/git.js";
import { git, tempRepo } from "../support/git.js";

describe("selectPaths", () => {
  it("resolves several ODBs, macros and negation, and says what selects nothing once each", async () => {
    const dir = tempRepo();
    writeFileSync(
      join(dir, ".gitattributes"),
      "[attr]media odb=two -text\n*.bin odb=magic\n*.mov media\nkeep.bin -odb\nplain.bin !odb\n*.x odb\n*.y odb=nowhere\n*.z odb=no/name\n",
    );
    git(["config", "odb.magic.url", "/m"], { cwd: dir });
    git(["config", "odb.two.url", "/t"], { cwd: dir });
    git(["config", "odb.two.minSize", "1k"], { cwd: dir });
    const repo = await openRepository(dir);
    const lines: string[] = [];
    const select = selector(await readOdbConfig(repo), (line) => lines.push(line));
    const paths = ["a.bin", "d/b.mov", "keep.bin", "plain.bin", "1.x", "2.x", "1.y", "2.y", "1.z", "c"];
    const found = [];
    for await (const { path, odb } of selectPaths(repo, select, paths)) found.push([path, odb]);
    expect(Object.fromEntries(found)).toEqual({
      ...Object.fromEntries(paths.map((path) => [path, undefined])),
      "a.bin": "magic",
      "d/b.mov": "two",
    });
    expect(lines).toEqual([
      '1.x: attribute "odb" without a name selects no ODB: write odb=<name> in .gitattributes',
      '1.y: odb=nowhere names an ODB that is not configured: run "git odb init nowhere <url>", or mend .gitattributes',
      '1.z: odb="no/name" names an ODB that is not configured: mend .gitattributes',
    ]);
    expect([select(undefined, "c", 1023), select(undefined, "c", 1024)]).toEqual([undefined, "two"]);
    expect([select(false, "c", 4096), select("magic", "c", 4096)]).toEqual([undefined, "magic"]);
  });
});

describe("the resolver without a repository", () => {
  /** What our resolver and git say of the same paths. */
  async function both(files: Record<string, string>, paths: readonly string[]) {
    const dir = tempRepo();
    for (const [directory, text] of Object.entries(files)) {
      mkdirSync(join(dir, directory), { recursive: true });
      writeFileSync(join(dir, directory, ".gitattributes"), text);
    }
    const repo = await openRepository(dir);
    const resolve = attributeResolver(
      Object.entries(files).map(([directory, text]) => ({ directory, text })),
    );
    return { ours: paths.map(resolve), gits: await attributesOf(repo, "odb", paths) };
  }

  it.each([
    [
      "order and folders",
      { "": "*.bin odb=a\n*.bin odb=b\n", d: "x.bin odb=c\n*.y -odb\n", "d/e": "x.* !odb\n" },
    ],
    [
      "macros",
      { "": "[attr]m odb=a\n[attr]n m odb=b\n*.bin m\n*.y n\nd/* -m\n*.x binary\n[attr]m odb=late\n" },
    ],
    ["macros below the top", { "": "*.bin m\n", d: "[attr]m odb=a\n*.y m\n" }],
    ["slashes", { "": "/x.bin odb=a\nd/x.bin odb=b\nd/ odb=c\n/d/** odb=d\n**/e/*.y odb=e\n" }],
    ["classes", { "": "[[:alpha:]].bin odb=a\n[!x].y odb=b\n[]x].x odb=c\n[ odb=d\n[x odb=e\n?.? odb=f\n" }],
    [
      "quotes and bytes",
      { "": '"a b.bin" odb=a\né.bin odb=b\n"\\303\\251.y" odb=c\n?.x odb=d\n\ufeff*.y odb=e\n' },
    ],
    ["same line twice", { "": "*.bin odb=a odb=b\n*.y odb=a -odb\n*.x -odb=v\n* bad=\u0001 odb=ok\n" }],
  ])("agrees with git on %s", async (_, files) => {
    const names = [
      "x.bin",
      "x.y",
      "x.x",
      "z.bin",
      "a b.bin",
      "é.bin",
      "é.y",
      "é.x",
      "].x",
      "[",
      "[x",
      ".bin",
    ];
    const paths = ["", "d/", "d/e/", "d/e/f/"].flatMap((prefix) => names.map((name) => prefix + name));
    const { ours, gits } = await both(files as Record<string, string>, paths);
    expect(paths.map((path, n) => [path, ours[n]])).toEqual(paths.map((path, n) => [path, gits[n]]));
  });

  it("agrees with git on any pattern", async () => {
    const piece = fc.constantFrom(
      "a",
      "b",
      "*",
      "**",
      "***",
      "?",
      "/",
      "/**/",
      "[ab]",
      "[!a]",
      "[^b",
      "[a-c]",
      "\\*",
      "\\",
      ".",
      "{a,b}",
      "+(a)",
      "!(b)",
      "[[:digit:]]",
      "#",
      "1",
    );
    const pattern = fc
      .array(piece, { minLength: 1, maxLength: 6 })
      .map((pieces) => pieces.join(""))
      // A slash needs no escape; behind stars git reads an escaped one in a way of its own.
      .filter((one) => !one.includes("\\/"))
      // Stars right behind the first characters of a path: gits before 2.52 let them reach across folders.
      .filter((one) => !/^[^*?[\\]*[^*?[\\/]\*{2}/.test(one));
    const name = fc.constantFrom(
      "a",
      "b",
      "ab",
      "ba",
      ".a",
      "a.b",
      "*",
      "1",
      "{a,b}",
      "+(a)",
      "abc",
      "\\a",
      "[^b",
    );
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
    const seed = Number(process.env.FC_SEED ?? 20171);
    const patterns = fc.sample(pattern, { numRuns: 1000, seed });
    const paths = [...new Set(fc.sample(path, { numRuns: 250, seed }))];
    // One file for all: a pattern has an attribute of its own, so that one git answers for every pattern.
    const dir = tempRepo();
    const lines = patterns.map((one, n) => `"${one.replace(/[\\"]/g, "\\$&")}" p${n}\n`);
    writeFileSync(join(dir, ".gitattributes"), lines.join(""));
    const told = await allAttributes(await openRepository(dir), paths);
    expect(told.size).toBeGreaterThan(1000);
    const wrong: string[] = [];
    for (const [n, one] of patterns.entries()) {
      const resolve = attributeResolver([{ directory: "", text: lines[n] ?? "" }], `p${n}`);
      for (const path of paths) {
        const ours = resolve(path) === true;
        if (ours !== told.has(`p${n} ${path}`)) wrong.push(`${one} on ${path}: ${ours}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

/** `<attribute> <path>` for every attribute that git says is set. */
async function allAttributes(
  repo: Awaited<ReturnType<typeof openRepository>>,
  paths: readonly string[],
): Promise<Set<string>> {
  const set = new Set<string>();
  const fields: string[] = [];
  const input = paths.map((path) => `${path}\0`).join("");
  const args = ["check-attr", "-z", "--stdin", "--all"];
  for await (const field of repo.runLines(args, { separator: "\0", input })) {
    fields.push(field);
    if (fields.length < 3) continue;
    const [path, attribute] = fields.splice(0);
    set.add(`${attribute} ${path}`);
  }
  return set;
}
