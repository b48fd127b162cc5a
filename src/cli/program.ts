/** The commander program of `git odb`: the table of verbs, with one verb's own options when it is used. */

import { Command } from "commander";
import { version } from "../version.js";
import type { Context } from "./context.js";
import { verbs } from "./verbs.js";

const footer = `
'git odb <verb> -h' explains a verb; 'git help odb' and 'git help odb-<verb>' show the manual pages.
Start with:  git odb init <name> <url>  and  git odb track <name> '<pattern>'`;

/**
 * Builds the program.
 *
 * @param used the verb whose module is imported; the others are only named
 * @returns a program that throws CommanderError instead of exiting
 */
export async function buildProgram(used: string | undefined, context: Context): Promise<Command> {
  const program = new Command("git odb")
    .description("Keep big files under git in a directory, behind HTTP or in S3.")
    .usage("<verb> [options]")
    .version(`git-odb version ${version}`, "--version", "print the version")
    .helpOption("-h, --help", "show this help")
    .configureHelp({ helpWidth: 100, showGlobalOptions: false })
    .showHelpAfterError(true)
    .exitOverride()
    .addHelpText("after", footer);
  for (const { name, summary, load } of verbs) {
    const command = program.command(name).summary(summary).description(`${summary}.`);
    if (name === used) (await load()).define(command, context);
  }
  return program;
}

/** What can follow `words`: verbs and long options, in the form of git's `--git-completion-helper`. */
export function completionWords(program: Command, words: readonly string[]): string[] {
  const command = words.reduce(
    (above, word) => above.commands.find((below) => below.name() === word) ?? above,
    program,
  );
  const options = command.options.flatMap(({ long, required, hidden }) =>
    long && !hidden ? [required ? `${long}=` : long] : [],
  );
  return [...command.commands.map((below) => below.name()), ...options, "--help"];
}
