/** `git odb track [<name> <pattern>…]`: gives patterns the attribute `odb=<name>`, or lists those that have it. */

import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { editAttributesFile, trackedPatterns, trackPattern } from "../odb/attributes-file.js";
import { readOdbConfig, requireOdbConfig } from "../odb/config.js";
import { parseOdbName } from "../odb/name.js";
import { bucketRemotes } from "../odb/promisor-remote.js";
import { formatBytes } from "../progress.js";
import { readConfig, setConfig } from "../repo/config.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { parseSizeOption } from "./size.js";
import { attributesPathOf } from "./worktree.js";

export function define(command: Command, context: Context): void {
  command
    .argument("[name]", "the ODB")
    .argument("[pattern...]", "as in .gitattributes, quoted from the shell: '*.psd'")
    .option("--above <size>", "files of at least this size, too, whatever their names: 500k, 1m")
    .option("-q, --quiet", "say nothing but errors and warnings")
    .addHelpText("after", "\nWithout a pattern: lists what .gitattributes of this folder tracks.")
    .action(async (name: string | undefined, patterns: string[], options: Options) => {
      if (patterns.length === 0 && options.above === undefined) return await list(name, context);
      const odb = parseOdbName(name ?? "");
      if (options.above !== undefined) await trackAbove(odb, options.above, options, context);
      if (patterns.length > 0) await track(odb, patterns, options, context);
    });
}

interface Options extends OutputOptions {
  readonly above?: string;
}

/** @throws OdbError invalid, for what is no size; config, when the ODB is not configured: a key alone would harm git */
async function trackAbove(name: string, size: string, options: Options, context: Context): Promise<void> {
  const bytes = parseSizeOption("--above", size);
  const repo = await openRepository();
  await requireOdbConfig(repo, name);
  await setConfig(repo, `odb.${name}.minSize`, size);
  context.note(
    `ODB ${name}: files of ${formatBytes(bytes)} and more are tracked in this repository`,
    options,
  );
}

async function track(
  name: string,
  patterns: readonly string[],
  options: OutputOptions,
  context: Context,
): Promise<void> {
  const repo = await openRepository();
  const { path, shown } = attributesPathOf(repo);
  const news: string[] = [];
  await editAttributesFile(path, (text) => {
    for (const pattern of patterns) {
      const before = text;
      text = trackPattern(text, name, pattern);
      news.push(
        `${shown}: ${JSON.stringify(pattern)} ${before === text ? "was" : "is now"} tracked in ODB ${name}`,
      );
    }
    return text;
  });
  for (const line of news) context.note(line, options);
  const entries = await readConfig(repo);
  if (!(await readOdbConfig(repo, entries)).has(name) && bucketRemotes(entries).size === 0) {
    context.warn(`ODB ${name} is not configured in this repository: run "git odb init ${name} <url>"`);
  }
}

async function list(name: string | undefined, context: Context): Promise<void> {
  const { path } = attributesPathOf(await openRepository());
  const text = await readFile(path, "latin1").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw new OdbError("denied", `${path}: ${error.message}`, { cause: error });
  });
  for (const tracked of trackedPatterns(text)) {
    if (name === undefined || tracked.name === name) {
      await context.print(`${tracked.name}\t${tracked.pattern}\n`);
    }
  }
}
