/** What a verb's module gives to main.ts, and the options that verbs share. */

import type { Command } from "commander";
import type { Context } from "./context.js";

/**
 * A verb: `define` gives the commander command its arguments, options and action. The action throws OdbErrors;
 * for "something is missing or bad" (exit 1) it sets `process.exitCode`.
 */
export interface VerbModule {
  define(command: Command, context: Context): void;
}

/** Adds `-q`, `--progress` and `--no-progress`: read as OutputOptions. */
export function addOutputOptions(command: Command): Command {
  return command
    .option("-q, --quiet", "say nothing but errors")
    .option("--progress", "show progress even if stderr is no terminal")
    .option("--no-progress", "show no progress");
}
