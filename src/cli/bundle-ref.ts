/** `git odb bundle ref`. */

import type { Command } from "commander";
import { HttpClients } from "../bundle/clients.js";
import { readTable } from "../bundle/read-table.js";
import { newestBase, writeBundleRef } from "../bundle/ref.js";
import { parseOdbName } from "../odb/name.js";
import { gitCredentials } from "../repo/credential.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB")
    .argument("<table-url>", "http(s) URL of bundles.json or of a bundle list")
    .option("-q, --quiet", "say nothing but errors")
    .action(async (text: string, url: string, options: OutputOptions) => {
      const name = parseOdbName(text);
      const repo = await openRepository();
      using clients = new HttpClients(gitCredentials(repo));
      const table = await readTable(url, { clients, signal: context.signal });
      const uri = newestBase(table, url);
      const isNew = await writeBundleRef(repo, name, uri);
      await context.print(`refs/odbs/${name}/bundle ${uri}\n`);
      if (isNew) context.note(`Next: git push <remote> refs/odbs/${name}/bundle`, options);
    });
}
