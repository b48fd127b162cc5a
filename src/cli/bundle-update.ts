/** `git odb bundle create` and `update`. */

import type { Command } from "commander";
import { openBucket } from "../bucket/open.js";
import { chainFolder, listName, parseBaseUrl, parseFilter, tableName } from "../bundle/files.js";
import { type UpdateResult, updateBundles } from "../bundle/update.js";
import { OdbError } from "../errors.js";
import { gitCredentials } from "../repo/credential.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { counted } from "./count.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly baseUrl?: string;
  readonly filter?: string;
  readonly grace: string;
  readonly force?: boolean;
}

export function defineCreate(command: Command, context: Context): void {
  addCommon(
    command.requiredOption("--base-url <url>", "http(s) URL at which readers GET the bucket's content"),
  )
    .option("--force", "begin anew although there are bundles already")
    .action((repository: string, url: string, options: Options) =>
      update(repository, url, options, options.force ? "replace" : "new", context),
    );
}

export function defineUpdate(command: Command, context: Context): void {
  addCommon(command.option("--base-url <url>", "move the URLs in the tables to this one")).action(
    (repository: string, url: string, options: Options) =>
      update(repository, url, options, "update", context),
  );
}

function addCommon(command: Command): Command {
  command
    .argument("<repository>", "a folder in it, or a bare one")
    .argument("<bucket-url>", "where the bundles go: a path, file://, http(s):// or s3:// URL")
    .option("--filter <filter>", "blob:none: bundles without blobs, for clones with the same --filter")
    .option("--grace <hours>", "how long a bundle that no table names any more stays", "24");
  return addOutputOptions(command);
}

async function update(
  repository: string,
  url: string,
  options: Options,
  start: "new" | "replace" | "update",
  context: Context,
): Promise<void> {
  const filter = parseFilter(options.filter);
  const baseUrl = options.baseUrl === undefined ? undefined : parseBaseUrl(options.baseUrl);
  const graceMs = parseHours(options.grace);
  const repo = await openRepository(repository);
  const bucket = await openBucket(url, { credentials: gitCredentials(repo) });
  const progress = context.progress("Writing bundles", undefined, options);
  try {
    const result = await updateBundles(repo, bucket, {
      start,
      graceMs,
      signal: context.signal,
      through: (content) => progress.through(content),
      ...(filter && { filter }),
      ...(baseUrl && { baseUrl }),
    });
    progress.finish();
    await context.print(formatResult(result));
    if (result.removed > 0)
      context.note(`removed ${result.removed} that no table had named for long enough`, options);
    if (result.made.length === 0) context.note("nothing new to bundle", options);
    else
      context.note(
        `${counted(result.entries.length, "bundle")} in ${bucket.name}/${chainFolder(filter)}${tableName}`,
        options,
      );
  } finally {
    progress.finish(false);
    await bucket.close();
  }
}

/** What was made, then where the tables are. */
function formatResult({ entries, made }: UpdateResult): string {
  const folder = (entries[0]?.uri ?? "").replace(/[^/]*$/, "");
  return [...made, folder + tableName, folder + listName].map((line) => `${line}\n`).join("");
}

function parseHours(text: string): number {
  if (/^[0-9]{1,5}(?:\.[0-9]{1,3})?$/.test(text)) return Number(text) * 3_600_000;
  throw new OdbError("invalid", `--grace=${text}: expected a number of hours`);
}
