/** `git odb fetch [<rev>…] [-- <path>…]`: brings all that these revisions lack and the ODBs have, in one batch. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { missingInHistory } from "../odb/missing.js";
import { openRepository, type Repository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { bringMissing } from "./fetch-missing.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly all?: boolean;
  readonly tip?: boolean;
  readonly dryRun?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("[revision...]", "revisions and ranges; default HEAD; behind --, paths")
    .option("--all", "all refs, instead of revisions")
    .option("--tip", "what a checkout of the revisions needs, without their history")
    .option("-n, --dry-run", "only say what is missing");
  addOutputOptions(command).action((words: string[], options: Options) => fetch(words, options, context));
}

async function fetch(words: readonly string[], options: Options, context: Context): Promise<void> {
  const { given, paths } = splitWords(words);
  const repo = await openRepository();
  const revisions = await revisionsOf(repo, given, options);
  if (revisions.length === 0) return context.note("There is no commit yet: nothing to fetch", options);
  await bringMissing(repo, options, context, () =>
    missingInHistory(repo, {
      revisions,
      paths,
      tip: options.tip === true,
      signal: context.signal,
      ...(paths.length > 0 && { cwd: process.cwd() }),
    }),
  );
}

/** commander takes `--` away: what stood behind it is found by its number. */
function splitWords(words: readonly string[], argv: readonly string[] = process.argv) {
  const cut = argv.indexOf("--");
  const paths = cut < 0 ? [] : argv.slice(cut + 1);
  return { given: words.slice(0, words.length - paths.length), paths };
}

/** @throws OdbError invalid, for what git would take for an option */
async function revisionsOf(
  repo: Repository,
  given: readonly string[],
  { all }: Options,
): Promise<readonly string[]> {
  const odd = given.find((word) => word.startsWith("-"));
  if (odd !== undefined) throw new OdbError("invalid", `${JSON.stringify(odd)} is no revision`);
  if (all && given.length > 0) throw new OdbError("invalid", "--all is every ref: name no revision with it");
  // Metadata refs point to small blobs that are always here.
  if (all) return ["--exclude=refs/odbs/*", "--exclude=refs/odbs-promise/*", "--all"];
  if (given.length > 0) return given;
  const { status } = await repo.run(["rev-parse", "--verify", "--quiet", "HEAD"], { okStatus: [0, 1] });
  return status === 0 ? ["HEAD"] : [];
}
