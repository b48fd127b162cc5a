/** `git odb bundle clone`. */

import type { Command } from "commander";
import { HttpClients } from "../bundle/clients.js";
import { cloneByBundles } from "../bundle/clone.js";
import { parseFilter } from "../bundle/files.js";
import { leaveRepository } from "../repo/clone-start.js";
import { gitCredentials } from "../repo/credential.js";
import { rememberCredentials } from "../repo/credential-memory.js";
import type { Context, OutputOptions } from "./context.js";
import { counted } from "./count.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly bundles: string;
  readonly filter?: string;
}

export function define(command: Command, context: Context): void {
  addOutputOptions(
    command
      .argument("<url>", "the repository, as git clone takes it")
      .argument("[directory]", "where to; the repository's name if not given")
      .requiredOption("--bundles <url>", "http(s) URL of bundles.json or of a bundle list")
      .option("--filter <filter>", "blob:none: leave blobs out, with a table of bundles made so"),
  ).action((url: string, directory: string | undefined, options: Options) =>
    clone(url, directory, options, context),
  );
}

async function clone(
  url: string,
  directory: string | undefined,
  options: Options,
  context: Context,
): Promise<void> {
  leaveRepository();
  rememberCredentials();
  const progress = context.progress("Downloading bundles", undefined, options);
  using clients = new HttpClients(gitCredentials());
  try {
    const result = await cloneByBundles({
      url,
      directory,
      tableUrl: options.bundles,
      filter: parseFilter(options.filter),
      isLoud: !options.quiet,
      clients,
      signal: context.signal,
      warn: (line) => context.warn(line),
      onBytes: (count) => progress.add(0, count),
    });
    const rest = result.isFetched ? `the rest fetched from ${url}` : "which had all of it";
    context.note(`${result.directory}: ${counted(result.taken, "bundle")} taken, ${rest}`, options);
  } finally {
    progress.finish(false);
  }
}
