/** `git odb bundle serve`. */

import type { Command } from "commander";
import type { Bucket } from "../bucket/bucket.js";
import { chainFolder, listName, tableName } from "../bundle/files.js";
import { OdbError } from "../errors.js";
import type { Context } from "./context.js";
import { addServerOptions, type ServeVerbOptions, serve } from "./serve.js";

export function define(command: Command, context: Context): void {
  addServerOptions(command.argument("<bucket-url>", "the bucket: a path, file:// or s3:// URL")).action(
    (url: string, options: ServeVerbOptions) =>
      serve(url, { ...options, readOnly: true, allowDelete: false }, context, tablesOf),
  );
}

/** The URLs of the tables that are there. */
async function tablesOf(bucket: Bucket, server: string): Promise<string> {
  const lines: string[] = [];
  for (const filter of [undefined, "blob:none"] as const) {
    for (const name of [tableName, listName]) {
      const key = chainFolder(filter) + name;
      if (await bucket.head(key)) lines.push(`${server}/${key}\n`);
    }
  }
  if (lines.length > 0) return lines.join("");
  throw new OdbError("config", `${bucket.name} holds no bundles: begin with git odb bundle create`);
}
