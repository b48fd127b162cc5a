/** `git odb untrack <name> <pattern>…`: takes the attribute `odb=<name>` from patterns. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { editAttributesFile, untrackPattern } from "../odb/attributes-file.js";
import { parseOdbName } from "../odb/name.js";
import { unsetConfig } from "../repo/config.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { attributesPathOf } from "./worktree.js";

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB")
    .argument("[pattern...]", "as they stand in .gitattributes")
    .option("--above", "no longer select files by their size")
    .option("-q, --quiet", "say nothing but errors and warnings")
    .action(async (name: string, patterns: string[], options: Options) => {
      if (patterns.length === 0 && !options.above)
        throw new OdbError("invalid", "nothing was named: give patterns, or --above");
      if (options.above) await untrackAbove(parseOdbName(name), options, context);
      if (patterns.length > 0) await untrack(parseOdbName(name), patterns, options, context);
    });
}

interface Options extends OutputOptions {
  readonly above?: boolean;
}

async function untrackAbove(name: string, options: Options, context: Context): Promise<void> {
  const removed = await unsetConfig(await openRepository(), `odb.${name}.minSize`);
  if (removed) context.note(`ODB ${name}: files are no longer tracked by their size`, options);
  else context.warn(`ODB ${name}: files were not tracked by their size`);
}

async function untrack(
  name: string,
  patterns: readonly string[],
  options: OutputOptions,
  context: Context,
): Promise<void> {
  const { path, shown } = attributesPathOf(await openRepository());
  const missing: string[] = [];
  await editAttributesFile(path, (text) => {
    for (const pattern of patterns) {
      const before = text;
      text = untrackPattern(text, name, pattern);
      if (text === before) missing.push(pattern);
    }
    return text;
  });
  for (const pattern of patterns) {
    if (missing.includes(pattern))
      context.warn(`${shown}: ${JSON.stringify(pattern)} was not tracked in ODB ${name}`);
    else context.note(`${shown}: ${JSON.stringify(pattern)} is no longer tracked in ODB ${name}`, options);
  }
}
