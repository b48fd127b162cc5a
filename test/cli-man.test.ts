/** The man pages, the completion scripts and the options of the verbs must say the same. */

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { processContext } from "../src/cli/context.js";
import { buildProgram } from "../src/cli/program.js";
import { verbs } from "../src/cli/verbs.js";
import { version } from "../src/version.js";
import { lacks } from "./support/tools.js";

const root = join(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const pages = readdirSync(join(root, "man")).sort();
const context = processContext();

async function verbCommand(name: string): Promise<Command> {
  const command = (await buildProgram(name, context)).commands.find((each) => each.name() === name);
  if (!command) throw new Error(`no verb ${name}`);
  return command;
}

/** A page as plain text, `.so` followed. */
function readPage(name: string): string {
  const source = readFileSync(join(root, "man", name), "utf8");
  const other = /^\.so man\d\/(\S+)/.exec(source)?.[1];
  return other === undefined ? source : readPage(other);
}

/** The text without font changes and escapes. */
function plain(source: string): string {
  return source
    .replace(/\\f[BIR]/g, "")
    .replaceAll("\\-", "-")
    .replaceAll("\\&", "");
}

/** The long options of a page's `.TP` tags. */
function documentedOptions(source: string): string[] {
  const tags = [...plain(source).matchAll(/^\.TP\n(.*)$/gm)].map(([, tag]) => tag ?? "");
  return tags.flatMap((tag) => [...tag.matchAll(/(?<![\w-])--[a-z][-a-z]*/g)].map(([option]) => option));
}

/** Every long option of the verbs that share a page. */
async function optionsOfPage(page: string): Promise<string[]> {
  const names = verbs.filter(({ name }) => {
    const source = readFileSync(join(root, "man", `git-odb-${name}.1`), "utf8");
    return page === `git-odb-${name}.1` || source.includes(`.so man1/${page}`);
  });
  const commands = await Promise.all(names.map(({ name }) => verbCommand(name)));
  const all = commands.flatMap((command) => [command, ...command.commands]);
  return all.flatMap((command) => command.options.flatMap(({ long }) => long ?? []));
}

describe("man pages", () => {
  it.each(verbs.map(({ name }) => name))(
    "git-odb-%s.1 has the options of the verb, and no others",
    async (name) => {
      const source = readFileSync(join(root, "man", `git-odb-${name}.1`), "utf8");
      if (source.startsWith(".so ")) expect(readPage(`git-odb-${name}.1`)).toContain(`git-odb-${name}`);
      else {
        const expected = new Set(await optionsOfPage(`git-odb-${name}.1`));
        expect([...new Set(documentedOptions(source))].sort()).toEqual([...expected].sort());
      }
    },
  );

  it("are all shipped, none is left over, and git-odb(1) lists the verbs in order", () => {
    expect(manifest.man).toEqual(pages.map((page) => `./man/${page}`));
    const expected = [
      ...verbs.map(({ name }) => `git-odb-${name}.1`),
      "git-odb.1",
      "git-odb-helper.1",
      "gitodb.7",
    ];
    expect(pages.filter((page) => !/^git-(?:remote|lfs)/.test(page))).toEqual(expected.sort());
    const listed = [...plain(readPage("git-odb.1")).matchAll(/^\.BR git-odb-(\S+) \(1\)\n(.*)$/gm)];
    const section = listed.filter(([, name]) => name !== "helper");
    expect(section.map(([, name, summary]) => [name, summary])).toEqual(
      verbs.map(({ name, summary }) => [name, summary]),
    );
  });

  it.skipIf(lacks("man"))("format without a warning", () => {
    for (const page of pages.filter(
      (page) => !readFileSync(join(root, "man", page), "utf8").startsWith(".so "),
    )) {
      const text = execFileSync("man", ["--warnings", "-l", join(root, "man", page)], {
        encoding: "utf8",
        env: { ...process.env, MANWIDTH: "100", LC_ALL: "C.UTF-8" },
        stdio: ["ignore", "pipe", "inherit"],
      });
      expect(text).toContain("NAME");
    }
  });
});

describe("the table of verbs", () => {
  it("gives every verb a help text and completion words", async () => {
    for (const { name } of verbs) {
      const help = (await verbCommand(name)).helpInformation();
      expect(help).toContain(`Usage: git odb ${name}`);
    }
  });

  it("is the one in docs/cli.md", () => {
    const rows = readFileSync(join(root, "docs/cli.md"), "utf8").matchAll(/^\| `([a-z]+)` \| (.*) \|$/gm);
    expect([...rows].map(([, name, summary]) => [name, summary])).toEqual(
      verbs.map(({ name, summary }) => [name, summary]),
    );
  });

  it("has the package's version", () => {
    expect(version).toBe(manifest.version);
  });

  it("offers in bash every value of an option with choices", async () => {
    const bash = readFileSync(join(root, "completion/git-odb.bash"), "utf8");
    for (const { name } of verbs) {
      const command = await verbCommand(name);
      for (const { long, argChoices } of [command, ...command.commands].flatMap(({ options }) => options)) {
        if (argChoices) expect(bash).toContain(`${long}=*)\n\t\t__gitcomp "${argChoices.join(" ")}"`);
      }
    }
  });
});
