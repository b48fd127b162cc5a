/** `git odb bundle create|update|list|serve|fetch|clone|ref`: bundles of a repository on any bucket, and clones by them. */

import type { Command } from "commander";
import { define as defineClone } from "./bundle-clone.js";
import { define as defineFetch } from "./bundle-fetch.js";
import { define as defineList } from "./bundle-list.js";
import { define as defineRef } from "./bundle-ref.js";
import { define as defineServe } from "./bundle-serve.js";
import { defineCreate, defineUpdate } from "./bundle-update.js";
import type { Context } from "./context.js";

type Define = (command: Command, context: Context) => void;

const parts: readonly (readonly [name: string, summary: string, define: Define])[] = [
  ["create", "make a first bundle and its tables in a bucket", defineCreate],
  ["update", "add a bundle of what is new since the last", defineUpdate],
  ["list", "list the bundles of a bucket or a table", defineList],
  ["serve", "serve a bucket's bundles over HTTP, to be read only", defineServe],
  ["fetch", "fetch by new bundles first, the rest from the remote", defineFetch],
  ["clone", "clone by bundles first, the rest from the repository", defineClone],
  ["ref", "let helpers begin a clone with the newest first bundle", defineRef],
];

export function define(command: Command, context: Context): void {
  for (const [name, summary, defineOne] of parts) {
    defineOne(command.command(name).summary(summary).description(`${summary}.`), context);
  }
}
