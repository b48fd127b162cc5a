/** `git odb bundle fetch`. */

import type { Command } from "commander";
import { HttpClients } from "../bundle/clients.js";
import { fetchBundles } from "../bundle/fetch.js";
import { readTable } from "../bundle/read-table.js";
import { rememberedTable } from "../bundle/state.js";
import { OdbError } from "../errors.js";
import { gitCredentials } from "../repo/credential.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { counted } from "./count.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly bundles?: string;
}

export function define(command: Command, context: Context): void {
  addOutputOptions(
    command
      .argument("[remote]", "where the rest comes from", "origin")
      .option("--bundles <url>", "http(s) URL of the table; the one of the last time if not given"),
  ).action((remote: string, options: Options) => fetchAll(remote, options, context));
}

async function fetchAll(remote: string, options: Options, context: Context): Promise<void> {
  if (remote.startsWith("-")) throw new OdbError("invalid", `${remote} is no remote`);
  const repo = await openRepository();
  const url = options.bundles ?? (await rememberedTable(repo));
  if (url === undefined) {
    throw new OdbError(
      "config",
      "this repository has had no bundles yet: name their table by --bundles=<url>",
    );
  }
  const { signal } = context;
  using clients = new HttpClients(gitCredentials(repo));
  const table = await readTable(url, { clients, signal });
  const progress = context.progress("Downloading bundles", undefined, options);
  try {
    const { taken } = await fetchBundles(repo, url, table, {
      clients,
      signal,
      warn: (line) => context.warn(line),
      onBytes: (count) => progress.add(0, count),
    });
    progress.finish();
    if (taken > 0) context.note(`${counted(taken, "bundle")} taken`, options);
  } finally {
    progress.finish(false);
  }
  const quiet = options.quiet ? ["-q"] : [];
  await repo.run(["fetch", ...quiet, remote], { signal, ...(!options.quiet && { stderr: "inherit" }) });
}
