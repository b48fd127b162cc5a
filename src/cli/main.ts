/** `git odb`: finds the verb, runs it, and turns what it throws into one line and git's exit code. */

import { CommanderError } from "commander";
import { exitCodeOf, type OdbError, toOdbError } from "../errors.js";
import { type Context, processContext } from "./context.js";
import { buildProgram, completionWords } from "./program.js";

/** How long a verb that was interrupted may take to leave things tidy, in milliseconds. */
const GRACE_MS = 1000;

void main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<void> {
  const context = processContext();
  const { signal } = context;
  try {
    await Promise.race([run(argv, context), graceAfter(signal)]);
    signal.throwIfAborted();
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error;
    process.exitCode = cause instanceof CommanderError ? usageExitCode(cause) : report(toOdbError(cause));
  }
  // What still waits for a network or a child must not hold up an interrupted command; nothing is left to be written.
  if (signal.aborted) process.exit();
}

/** Fails some time after the signal, for a verb that does not end by itself. */
function graceAfter(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => setTimeout(() => reject(signal.reason), GRACE_MS));
  });
}

async function run(argv: readonly string[], context: Context): Promise<void> {
  const verb = argv[0] === "help" ? argv[1] : argv[0];
  const program = await buildProgram(verb, context);
  if (argv.at(-1) === "--git-completion-helper") {
    await context.print(`${completionWords(program, argv.slice(0, -1)).join(" ")}\n`);
  } else if (argv.length === 0) {
    program.outputHelp({ error: true });
    process.exitCode = 129;
  } else {
    await program.parseAsync(argv, { from: "user" });
  }
}

/** Help and version that were asked for end well; anything else is a wrong command line, already explained. */
function usageExitCode(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : 129;
}

/** Says what went wrong, and gives the exit code for it. Interruptions need no words. */
function report(error: OdbError): number {
  if (error.code === "aborted") return exitCodeOf(error);
  process.stderr.write(`fatal: ${error.message.replaceAll("\n", " ")}\n`);
  if (error.code === "bug" && process.env.GIT_ODB_TRACE) process.stderr.write(`${error.stack}\n`);
  return exitCodeOf(error);
}
