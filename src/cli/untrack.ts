/** `git odb untrack <name> <pattern>…`: takes the attribute `odb=<name>` from patterns. */

import type { Command } from "commander";
import { editAttributesFile, untrackPattern } from "../odb/attributes-file.js";
import { parseOdbName } from "../odb/name.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { attributesPathOf } from "./worktree.js";

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB")
    .argument("<pattern...>", "as they stand in .gitattributes")
    .option("-q, --quiet", "say nothing but errors and warnings")
    .action((name: string, patterns: string[], options: OutputOptions) =>
      untrack(parseOdbName(name), patterns, options, context),
    );
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
