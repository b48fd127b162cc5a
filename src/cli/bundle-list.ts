/** `git odb bundle list`. */

import type { Command } from "commander";
import { openBucket } from "../bucket/open.js";
import { parseBundleList } from "../bundle/bundle-list.js";
import { HttpClients } from "../bundle/clients.js";
import { chainFolder, listName, parseFilter, tableName } from "../bundle/files.js";
import { readTable } from "../bundle/read-table.js";
import { type BundleTable, parseTable, TABLE_LIMIT } from "../bundle/table.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import { gitCredentials } from "../repo/credential.js";
import type { Context } from "./context.js";

interface Options {
  readonly filter?: string;
  readonly json?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("<url>", "the bucket, or the http(s) URL of a table")
    .option("--filter <filter>", "blob:none: the bundles without blobs of this bucket")
    .option("--json", "print one JSON list")
    .action(async (url: string, { filter, json }: Options) => {
      const { bundles } = await readEither(url, parseFilter(filter), context);
      if (json) return await context.print(`${JSON.stringify(bundles, undefined, 2)}\n`);
      for (const { timestamp, size, requires, uri } of bundles) {
        const kind = requires === undefined ? "first" : "next";
        await context.print(`${timestamp ?? "-"}\t${size ?? "-"}\t${kind}\t${uri}\n`);
      }
    });
}

async function readEither(
  url: string,
  filter: "blob:none" | undefined,
  context: Context,
): Promise<BundleTable> {
  const { signal } = context;
  const isTable = /^https?:.*\/(?:bundle-list|[^/]*\.json)(?:\?.*)?$/i.test(url);
  using clients = new HttpClients(gitCredentials());
  if (isTable) return await readTable(url, { signal, clients });
  const bucket = await openBucket(url, { credentials: gitCredentials() });
  try {
    const folder = chainFolder(filter);
    const key = folder + tableName;
    const body = await bucket.read(key, { signal });
    if (body !== undefined) {
      return parseTable((await collect(body.content, TABLE_LIMIT)).toString(), `${bucket.name}/${key}`);
    }
    const list = await bucket.read(folder + listName, { signal });
    if (list === undefined)
      throw new OdbError("config", `${bucket.name}/${key} is not there: no bundles yet`);
    return await parseBundleList(
      (await collect(list.content, TABLE_LIMIT)).toString(),
      `${bucket.name}/${folder}${listName}`,
    );
  } finally {
    await bucket.close();
  }
}
