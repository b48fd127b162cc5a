/** `git odb gc --store [<remote>]`: collects in the bucket of a serverless repository. */

import { openBucket } from "../bucket/open.js";
import { OdbError } from "../errors.js";
import { parseRemoteAddress } from "../odb/promisor-remote.js";
import { formatBytes } from "../progress.js";
import { collectStore } from "../remote/store-gc.js";
import { getConfig } from "../repo/config.js";
import { gitCredentials } from "../repo/credential.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { targetOf } from "./push-target.js";

/** Options of the verb, with `--store`. */
export interface StoreOptions extends OutputOptions {
  /** The remote; true when none is named. */
  readonly store?: string | true;
  readonly dryRun?: boolean;
  readonly grace?: string;
}

const DAY_MS = 24 * 3600 * 1000;

/** Runs it, and prints one line for each key that was removed or found. */
export async function gcStore(remote: string | true, options: StoreOptions, context: Context): Promise<void> {
  const graceMs = parseGrace(options.grace);
  const url = await bucketOf(remote);
  const bucket = await openBucket(url, { credentials: gitCredentials() });
  try {
    const dryRun = options.dryRun ?? false;
    const report = await collectStore(bucket, {
      dryRun,
      signal: context.signal,
      ...(graceMs !== undefined && { graceMs }),
    });
    const would = dryRun ? "would " : "";
    for (const { key } of report.removed) await context.print(`${would}remove ${key}\n`);
    for (const { key } of report.found) await context.print(`${would}list ${key}\n`);
    const size = report.removed.reduce((sum, entry) => sum + entry.size, 0);
    const packs = report.repacked ? `${report.packs} packs ${would}become 1; ` : "";
    context.note(
      `${packs}${report.removed.length} keys ${would}go (${formatBytes(size)}), ${report.found.length} newly listed for a later run`,
      options,
    );
  } finally {
    await bucket.close();
  }
}

async function bucketOf(named: string | true): Promise<string> {
  const remote = named === true ? (await targetOf(await openRepository(), undefined)).destination : named;
  const isUrl = /[:/\\]/.test(remote);
  const url = isUrl ? remote : await getConfig(await openRepository(), `remote.${remote}.url`);
  if (url === undefined)
    throw new OdbError("invalid", `${remote} is no remote here: name one, or an odb:: URL`);
  const address = isUrl || url.startsWith("odb:") ? parseRemoteAddress(url) : undefined;
  if (address !== undefined && "bucket" in address) return address.bucket;
  throw new OdbError("invalid", `${remote} is no repository in a bucket: name an odb:: remote or URL`);
}

function parseGrace(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}(?:\.\d+)?$/.test(text)) return Number(text) * DAY_MS;
  throw new OdbError("invalid", `--grace=${JSON.stringify(text)}: expected a number of days`);
}
