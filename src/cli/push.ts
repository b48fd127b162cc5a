/** `git odb push [<remote>]`: the selected blobs of what is about to be pushed, into their ODBs; their metadata refs, to the remote. */

import type { Command } from "commander";
import { OdbError, toOdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { type OdbConfig, readOdbConfigs } from "../odb/config.js";
import {
  commitsOf,
  objectsInRange,
  type PushRange,
  type RangeBlob,
  selectedInRange,
} from "../odb/push-range.js";
import { pushMetadataRefs } from "../odb/push-refs.js";
import { mendMetadata } from "../odb/refs.js";
import { markSent, unsentBlobs } from "../odb/sent.js";
import { fetchPromises } from "../odb/server-promise.js";
import { type UploadReport, uploadBlobs } from "../odb/upload.js";
import { formatBytes } from "../progress.js";
import { readConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { counted } from "./count.js";
import { withOdb } from "./odb.js";
import { type PushTarget, prePushRange, targetOf } from "./push-target.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly all?: boolean;
  readonly attributesOf?: string;
  readonly refs: boolean;
  readonly prePush?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("[remote]", "where the commits will be pushed (default: as git push)")
    .argument("[rev...]", "what will be pushed (default: HEAD)")
    .option("--all", "every branch and tag, and all of their history")
    .option("--attributes-of <rev>", "select by the .gitattributes of this commit, for what came before it")
    .option("--no-refs", "send blobs only, no metadata refs")
    .option("--pre-push", "as git's pre-push hook: what is pushed comes by standard input");
  addOutputOptions(command).action((remote: string | undefined, revs: string[], options: Options) =>
    push(remote, revs, options, context),
  );
}

async function push(
  remote: string | undefined,
  revs: readonly string[],
  options: Options,
  context: Context,
): Promise<void> {
  const repo = await openRepository();
  const { odbs } = await readOdbConfigs(repo, await readConfig(repo));
  const target = await targetOf(repo, remote);
  const asked = options.prePush
    ? await prePushRange(repo, target)
    : await rangeOf(repo, target, revs, options);
  if (asked.tips.length === 0) return;
  const range = { ...asked, commits: await commitsOf(repo, asked) };
  const blobs = await selectedInRange(repo, range, odbs, (line) => context.warn(line));
  refuseUnconfigured(blobs, odbs);
  // The hook is for this push; it must not make it wait for older ones.
  if (!options.prePush) addNew(blobs, await unsentBlobs(repo, range, odbs));
  if (blobs.length === 0 && options.all) {
    const hint = options.attributesOf === undefined ? " (--attributes-of=HEAD: as HEAD marks them)" : "";
    context.note(`no file of any commit is marked for an ODB${hint}`, options);
  }
  for (const name of new Set(blobs.map(({ odb }) => odb))) {
    const own = blobs.filter(({ odb }) => odb === name);
    const report = await upload(repo, name, own, options, context);
    await judgeMissing(repo, name, range, own, report.missing, context);
    if (options.refs && report.stored.length > 0) await publish(repo, name, target, report, options, context);
  }
  if (!options.prePush) await markSent(repo, odbs.values(), range.tips);
  // A server that has promised them meanwhile: git push need not send them there.
  if (options.refs && blobs.length > 0 && target.remote !== undefined) {
    await fetchPromises(repo, target.remote, { signal: context.signal });
  }
}

function addNew(blobs: RangeBlob[], more: readonly RangeBlob[]): void {
  const known = new Set(blobs.map(({ odb, oid }) => `${odb} ${oid}`));
  blobs.push(...more.filter(({ odb, oid }) => !known.has(`${odb} ${oid}`)));
}

async function rangeOf(
  repo: Repository,
  target: PushTarget,
  revs: readonly string[],
  { all, attributesOf }: Options,
): Promise<PushRange> {
  if (all && revs.length > 0)
    throw new OdbError("invalid", "--all sends everything: name no revisions with it");
  const how = attributesOf === undefined ? {} : { attributes: await commitOf(repo, attributesOf) };
  if (all) {
    const tips = (await repo.text(["rev-parse", "--branches", "--tags"])).split("\n").filter(Boolean);
    return { ...how, tips };
  }
  const tips: string[] = [];
  for (const rev of revs.length > 0 ? revs : ["HEAD"]) tips.push(await commitOf(repo, rev));
  return { ...how, tips, ...(target.remote !== undefined && { remote: target.remote }) };
}

async function commitOf(repo: Repository, rev: string): Promise<ObjectId> {
  const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${rev}^{commit}`];
  const { stdout } = await repo.run(args, { okStatus: [0, 1, 128] });
  const oid = stdout.toString().trim();
  if (isObjectId(oid)) return oid;
  throw new OdbError("invalid", `${JSON.stringify(rev)} is no commit of ${repo.name}`);
}

async function upload(
  repo: Repository,
  name: string,
  blobs: readonly RangeBlob[],
  options: Options,
  context: Context,
): Promise<UploadReport> {
  const progress = context.progress(`Uploading to ${name}`, blobs.length, options);
  const oids = blobs.map(({ oid }) => oid);
  let complete = false;
  try {
    const report = await withOdb(repo, name, context, (odb) =>
      uploadBlobs(odb, oids, { signal: context.signal, onStored: ({ size }) => progress.add(1, size) }),
    );
    complete = true;
    const bytes = report.sent.reduce((total, { size }) => total + size, 0);
    if (report.sent.length > 0) {
      context.note(
        `ODB ${name}: ${counted(report.sent.length, "blob")} sent, ${formatBytes(bytes)}`,
        options,
      );
    }
    return report;
  } finally {
    progress.finish(complete);
  }
}

/** The blobs are safe by now: a remote that wants no metadata refs must not hold up a push of git's own. */
async function publish(
  repo: Repository,
  name: string,
  target: PushTarget,
  { stored }: UploadReport,
  options: Options,
  context: Context,
): Promise<void> {
  const oids = stored.map(({ oid }) => oid);
  await mendMetadata(repo, stored);
  try {
    const { other } = await pushMetadataRefs(repo, name, target.destination, oids, {
      signal: context.signal,
    });
    for (const ref of other) context.warn(`${target.destination} has other words in ${ref}: they stay`);
  } catch (error) {
    const { code, message } = toOdbError(error);
    if (!options.prePush || code !== "denied") throw error;
    context.warn(message);
  }
}

/** An ODB may be configured without a URL, its helper having one: then nothing can be sent from here. */
function refuseUnconfigured(blobs: readonly RangeBlob[], odbs: ReadonlyMap<string, OdbConfig>): void {
  const found = blobs.find(({ odb }) => (odbs.get(odb)?.urls.length ?? 0) === 0);
  if (found === undefined) return;
  const { odb, path } = found;
  throw new OdbError(
    "config",
    `${path} belongs in ODB ${odb}, which has no URL: run "git odb init ${odb} <url>"`,
  );
}

/** What the remote has already it can give again; anything else would be nowhere. */
async function judgeMissing(
  repo: Repository,
  name: string,
  range: PushRange,
  blobs: readonly RangeBlob[],
  missing: readonly ObjectId[],
  context: Context,
): Promise<void> {
  if (missing.length === 0) return;
  const added = await objectsInRange(repo, range);
  const lost = blobs.find(({ oid }) => missing.includes(oid) && added.has(oid));
  const [first] = missing;
  if (lost === undefined) {
    return context.warn(
      `${counted(missing.length, "blob")} of old commits, ${first} for one, are neither here nor in ODB ${name}`,
    );
  }
  const { oid, path, commit } = lost;
  throw new OdbError(
    "conflict",
    `object ${oid} (${path} in ${commit.slice(0, 12)}) is neither here nor in ODB ${name}: run "git odb put ${name} ${oid}" in a clone that has it`,
  );
}
