/** docs/writing-a-helper.md is true: its commands run and print what it says, and it lists every case. */

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { helperCases } from "../../src/conformance/helper-cases.js";
import { bin } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/writing-a-helper.md"), "utf8");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

/** The commands of the page in order, each with the output that the page shows for it, if any. */
function commandsOf(markdown: string): { command: string; output?: string }[] {
  const blocks = markdown.matchAll(/```sh\n(.*?)```\n(?:\n```text\n(.*?)```)?/gs);
  return [...blocks].map(([, command = "", output]) => ({
    command,
    ...(output !== undefined && { output }),
  }));
}

/** `git odb` as it is installed: the built command on PATH. */
function withGitOdb(): NodeJS.ProcessEnv {
  const folder = tempDir("bin");
  symlinkSync(bin("git-odb"), join(folder, "git-odb"));
  return { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}`, TMPDIR: tempDir("docs") };
}

test.skipIf(!hasPython && process.env.CI === undefined)("the commands do what the page says", () => {
  const env = withGitOdb();
  const commands = commandsOf(page);
  expect(commands.length).toBe(3);
  // One shell for all of them, as a reader has; a line that cannot be output tells them apart.
  const script = commands.map(({ command }) => `${command}\necho "--- end"`).join("\n");
  const printed = execFileSync("bash", ["-euo", "pipefail", "-c", script], {
    cwd: root,
    env,
    encoding: "utf8",
  });
  const outputs = printed.split("--- end\n");
  commands.forEach(({ output }, index) => {
    if (output === undefined) expect(outputs[index]).toMatch(/ 0 failed, .* conforms\n$/);
    else expect(readable(outputs[index] ?? "")).toBe(output);
  });
});

/** As the page shows it: the names of the variables instead of what was in them, and a last LF. */
function readable(output: string): string {
  const named = output.replaceAll(root, "$PWD").replaceAll(/\/\S*\/tmp\.\w+/g, "$store");
  return named.endsWith("\n") ? named : `${named}\n`;
}

test("the page lists every case and why it matters", () => {
  for (const one of [...helperCases("process"), ...helperCases("script")]) {
    expect(page).toMatch(new RegExp(`^\\| \`${one.name}\` \\| (both|process|script) \\| `, "m"));
    expect(page).toContain(`| ${one.why} |`);
  }
});
