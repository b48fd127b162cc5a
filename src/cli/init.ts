/** `git odb init <name> <url>…`: makes a store ready and writes the ODB's settings into this repository. */

import { type Command, Option } from "commander";
import { openBucket } from "../bucket/open.js";
import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import { type GetMode, requireOdbConfig } from "../odb/config.js";
import { parseOdbName } from "../odb/name.js";
import { publish, publishable, publishedRef } from "../odb/published.js";
import { setUpServer } from "../odb/server.js";
import { checkConfigurable, configureOdb, helperCommand } from "../odb/setup.js";
import { helperKindOf, parseStoreUrl } from "../odb/store-url.js";
import { tracksPatterns } from "../odb/tracked.js";
import { describeStore, whyNotFromRemote } from "../odb/trust.js";
import { gitCredentials } from "../repo/credential.js";
import { openRepository, type Repository } from "../repo/git.js";
import { initBucket, isBareRepository, readSettings } from "../store/settings.js";
import { redact } from "../trace.js";
import type { Context, OutputOptions } from "./context.js";
import { findOnPath } from "./path.js";
import { tellOfPromisor } from "./promisor.js";

interface Options extends OutputOptions {
  readonly script?: boolean;
  readonly get?: GetMode;
  readonly check: boolean;
  readonly server?: boolean;
  readonly publish?: boolean;
  readonly publicUrl?: string;
}

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB: letters, digits, - and _")
    .argument("[url...]", "a path, file://, http(s):// or s3:// URL; several make a tiered store")
    .option("--script", "one helper process for each object, instead of one for each git command")
    .addOption(new Option("--get <kind>", "how git gets objects").choices(["git", "raw", "direct"]))
    .option("--no-check", "write the settings without a look at the store")
    .option("--server", "make this bare repository one that keeps no big blobs itself")
    .option("--publish", "write the settings to refs/odbs/<name>/config, for clones to find them")
    .option("--public-url <url>", "publish this URL instead, by which others reach the store")
    .option("-q, --quiet", "say nothing but errors and warnings")
    .action((name: string, urls: string[], options: Options) => init(name, urls, options, context));
}

async function init(
  name: string,
  urls: readonly string[],
  options: Options,
  context: Context,
): Promise<void> {
  parseOdbName(name);
  const repo = await openRepository();
  if (options.server && !repo.bare) {
    throw new OdbError(
      "config",
      `${repo.name} is not bare: --server is for a repository that others push to`,
    );
  }
  const publishes = options.publish || options.publicUrl !== undefined;
  if (urls.length > 0) await connect(repo, name, urls, options, context);
  else if (!publishes && !options.server) {
    throw new OdbError("invalid", `where is the store of ODB ${name}? Say: git odb init ${name} <url>`);
  }
  if (options.server) {
    await requireOdbConfig(repo, name);
    await setUpServer(repo, name);
    context.note(`Next: git odb offload, now and again: docs/server.md`, options);
  }
  if (publishes) await publishSettings(repo, name, options, context);
  else if (await lacksPatterns(repo, name)) context.note(`Next: git odb track ${name} '<pattern>'`, options);
}

/** Whether nothing is selected for the ODB yet in a repository where it could be. */
async function lacksPatterns(repo: Repository, name: string): Promise<boolean> {
  if (repo.workTree === undefined) return false;
  const { minSize } = await requireOdbConfig(repo, name);
  return minSize === undefined && !(await tracksPatterns(repo, name));
}

async function connect(
  repo: Repository,
  name: string,
  urls: readonly string[],
  options: Options,
  context: Context,
): Promise<void> {
  const stores = urls.map(parseStoreUrl);
  const given = stores.map(({ url }) => url);
  await checkConfigurable(repo, name, given);
  if (options.check) for (const { url } of stores) await initStore(url, repo, options, context);
  const kind = helperKindOf(stores.map((store) => store.kind));
  const mode = options.script ? "script" : "subprocess";
  const promisor = await configureOdb(repo, { name, urls: given, kind, mode, get: options.get });
  const helper = helperCommand(kind, name);
  context.note(`ODB ${name}: ${stores.map(({ shown }) => shown).join(", ")}, by "${helper}"`, options);
  const programs = [helper.split(" ", 1)[0] ?? "", "git-remote-odb"];
  const absent = programs.filter((program) => findOnPath(program) === undefined);
  if (absent.length > 0) {
    context.warn(
      `${absent.join(" and ")} ${absent.length === 1 ? "is" : "are"} not on PATH, where git looks for it: run "npm install -g git-odb", or mend PATH`,
    );
  }
  await tellOfPromisor(name, promisor, repo, options, context);
}

async function publishSettings(
  repo: Repository,
  name: string,
  options: Options,
  context: Context,
): Promise<void> {
  const config = await requireOdbConfig(repo, name);
  const settings = publishable(config, options.publicUrl && parseStoreUrl(options.publicUrl).url);
  const ref = publishedRef(name);
  const changed = await publish(repo, settings);
  context.note(
    `${ref}: ${settings.urls.map(describeStore).join(", ")}${changed ? "" : " (as before)"}`,
    options,
  );
  for (const url of settings.urls) {
    const why = whyNotFromRemote(url);
    if (why === undefined) continue;
    context.warn(
      `clones must name this store themselves, because ${why}: git odb clone --accept-odb=${redact(url)}`,
    );
  }
  // What is bare is mostly what clones read.
  if (repo.workTree !== undefined) context.note(`Next: git push <remote> +${ref}`, options);
}

/** Makes the bucket say what it holds, where it lets us; a bucket that others keep is left as it is. */
async function initStore(url: string, repo: Repository, options: Options, context: Context): Promise<void> {
  const { layout = "raw" } = parseBucketUrl(url);
  if (layout === "list") return;
  if (layout !== "raw" && layout !== "loose") {
    throw new OdbError("invalid", `${url}: layout=${layout} should be raw, loose or list`);
  }
  const call = { signal: context.signal };
  const bucket = await openBucket(url, { credentials: gitCredentials(repo) });
  try {
    await bucket.create?.(call);
    const found = await readSettings(bucket, call);
    if (found === undefined && (await isBareRepository(bucket, call))) return;
    const settings = { layout: found?.layout ?? layout, hash: repo.hash, kind: found?.kind ?? "store" };
    await initBucket(bucket, settings, call).catch((error: unknown) => {
      // It was read just now: only writing is not for us.
      if (!(error instanceof OdbError && ["denied", "unsupported"].includes(error.code))) throw error;
      context.note(`${bucket.name} takes no objects from here (${error.message}): it is read only`, options);
    });
  } finally {
    await bucket.close();
  }
}
