/** A repository in a bucket as a git remote: list, fetch and push without any server. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { isObjectId } from "../object/id.js";
import { startProgress } from "../progress.js";
import { configCommand, parseConfigBoolean, readConfig, setConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import { readSettings } from "../store/settings.js";
import { fetchObjects } from "./fetch.js";
import { type FetchedPacks, fetchPacks } from "./fetch-packs.js";
import { indexesOf } from "./indexes.js";
import { type PushTarget, push } from "./push.js";
import { hashOf, type RefsSnapshot, type RefTable } from "./refs-object.js";
import type { FetchOutcome, Remote, RemoteContext, RemoteOptions, RemoteRefs, Want } from "./remote.js";
import { openObjects } from "./repository.js";
import { walkObjects } from "./walk.js";

/**
 * The remote of a repository. Closing it closes the bucket.
 *
 * @param listed the refs as git is told them, and as a push must find them again
 */
export function repositoryRemote(context: RemoteContext, bucket: Bucket, listed: RefsSnapshot): Remote {
  let opened: Promise<Repository> | undefined;
  const repository = () => {
    opened ??= openRepository(process.cwd(), { ahead: [configCommand] });
    return opened;
  };
  return {
    list: (_, forPush) => refsOf(listed, forPush, context, bucket),
    async fetch(wants, options) {
      return await fetchAll(context, bucket, await repository(), listed.table, wants, options);
    },
    async push(commands, options) {
      return await push(pushTarget(context, bucket, await repository(), options), listed, commands, options);
    },
    close: () => bucket.close(),
  };
}

/** HEAD is left out of a list for a push: git would move it (`--mirror`); and where it names nothing, of any. */
async function refsOf(
  { table, exists }: RefsSnapshot,
  forPush: boolean,
  context: RemoteContext,
  bucket: Bucket,
): Promise<RemoteRefs> {
  const refs = [...table.refs].map(([name, oid]) => ({ name, oid }));
  const { head } = table;
  const hash = hashOf(table) ?? (exists ? (await readSettings(bucket, call(context)))?.hash : undefined);
  const known = { hash: hash ?? (await ownHash(context)), refs };
  if (forPush || head === undefined) return known;
  if (isObjectId(head)) return { ...known, refs: [{ name: "HEAD", oid: head }, ...refs] };
  return table.refs.has(head) ? { ...known, head } : known;
}

/** git refuses a remote of another hash than the repository's, even without refs. */
async function ownHash({ places }: RemoteContext) {
  return places === undefined ? "sha1" : (await openRepository()).hash;
}

async function fetchAll(
  context: RemoteContext,
  bucket: Bucket,
  repo: Repository,
  table: RefTable,
  wants: readonly Want[],
  options: RemoteOptions,
): Promise<FetchOutcome> {
  const settings = await remoteSettings(repo, context.name);
  const oids = [...new Set(wants.map(({ oid }) => oid))];
  const shown = options.progress && options.verbosity > 0;
  const { cloning } = options;
  const how = {
    repo,
    bucket,
    cloning,
    everything: wantsEverything(table, new Set(oids)),
    withoutBlobs: leavesBlobsOut(options.filter),
    progress: shown,
    strict: settings.strict,
    indexes: indexesOf(context),
    signal: context.signal,
  };
  const fetched = await fetchPacks(how, oids);
  const limit = limitOf(options.filter);
  if (cloning && options.verbosity > 0 && limit !== undefined && fetched.largestPack > limit) {
    context.warn(
      `--filter=${options.filter}: packs come whole, whatever the size of what is in them; --filter=blob:none leaves that out`,
    );
  }
  if (fetched.promisor && settings.isNamed && !settings.isPromisor) await becomePromisor(repo, context.name);
  // git has read its config already: what it looks for in this fetch must be here.
  const mustBeWhole = fetched.promisor && !settings.isPromisor && !(cloning && settings.isNamed);
  if (mustBeWhole) await fetchLeftOut(context, bucket, repo, oids, shown);
  return outcome(fetched, options);
}

/** A clone of one branch does not. Refs outside of branches and tags have mostly nothing of their own. */
function wantsEverything({ refs }: RefTable, wants: ReadonlySet<ObjectId>): boolean {
  for (const [ref, oid] of refs) if (/^refs\/(?:heads|tags)\//.test(ref) && !wants.has(oid)) return false;
  return true;
}

/**
 * Of the packs, blobs are left out all or none: sizes are not known without reading them, and what `blob:limit` is to
 * leave out is mostly no matter of the packs. Any other filter leaves out blobs; more trees than asked for may come.
 */
function leavesBlobsOut(filter: string | undefined): boolean {
  if (filter === undefined) return false;
  return filter === "blob:limit=0" || !filter.startsWith("blob:limit=");
}

/** The bytes of a `blob:limit` that leaves out some blobs but not all. */
function limitOf(filter: string | undefined): number | undefined {
  const [, digits, unit = ""] = /^blob:limit=([1-9][0-9]*)([kmg]?)$/i.exec(filter ?? "") ?? [];
  const units: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
  return digits === undefined ? undefined : Number(digits) * (units[unit.toLowerCase()] ?? 1);
}

/** git asks for one lock only; it looks into that pack for the refs instead of walking through all of it. */
function outcome({ locks, selfContained }: FetchedPacks, options: RemoteOptions): FetchOutcome {
  const isSure = options.checkConnectivity && selfContained && locks.length === 1;
  return { complete: true, locks, ...(isSure && { connectivityOk: true }) };
}

interface RemoteSettings {
  /** Whether the remote is one of the config, and not only a URL. */
  readonly isNamed: boolean;
  readonly isPromisor: boolean;
  /** `fetch.fsckObjects`, else `transfer.fsckObjects`. */
  readonly strict: boolean;
}

async function remoteSettings(repo: Repository, name: string): Promise<RemoteSettings> {
  const entries = await readConfig(repo);
  const last = (key: string) => entries.findLast((entry) => entry.key === key);
  const isTrue = (key: string) => {
    const entry = last(key);
    return entry === undefined ? undefined : parseConfigBoolean(key, entry.value);
  };
  return {
    isNamed: last(`remote.${name}.url`) !== undefined,
    isPromisor: isTrue(`remote.${name}.promisor`) ?? false,
    strict: isTrue("fetch.fsckobjects") ?? isTrue("transfer.fsckobjects") ?? false,
  };
}

/**
 * From now on git asks this remote for what it finds missing. Unset, the first such fetch would write the filter
 * `blob:none`, and every fetch would leave all blobs out; this one leaves out nothing of the packs.
 */
async function becomePromisor(repo: Repository, name: string): Promise<void> {
  await setConfig(repo, `remote.${name}.partialclonefilter`, "blob:limit=2g");
  await setConfig(repo, `remote.${name}.promisor`, "true");
}

/** The blobs that were left out of the packs and that these wants name, in one batch. */
async function fetchLeftOut(
  context: RemoteContext,
  bucket: Bucket,
  repo: Repository,
  wants: readonly ObjectId[],
  shown: boolean,
): Promise<void> {
  const settings = await readSettings(bucket, call(context));
  if (settings === undefined) return;
  const { missing } = await walkObjects(repo, wants, [], ["--not", "--all"]);
  const store = await openObjects(bucket, settings, call(context));
  const progress = startProgress("Fetching objects", missing.length, { output: context.stderr, shown });
  const { missing: lost } = await fetchObjects(store, missing, repo.objectsDir, {
    signal: context.signal,
    onBad: (_oid, error) => context.warn(`${error.message} (in ${bucket.name}): not installed`),
    progress,
  }).finally(() => progress.finish());
  const [first] = lost;
  if (first === undefined) return;
  throw new OdbError("integrity", `${bucket.name} lacks object ${first} that its history needs`);
}

function pushTarget(
  context: RemoteContext,
  bucket: Bucket,
  repo: Repository,
  options: RemoteOptions,
): PushTarget {
  const { layout } = parseBucketUrl(context.url);
  if (layout !== undefined && layout !== "raw" && layout !== "loose") {
    throw new OdbError("invalid", `${bucket.name}: layout=${layout} should be raw or loose for a repository`);
  }
  const shown = options.progress && options.verbosity > 0;
  return {
    repo,
    bucket,
    remote: context.name,
    url: context.url,
    ...(layout && { layout }),
    warn: (line: string) => context.warn(line),
    countBlobs: (total: number) => startProgress("Uploading blobs", total, { output: context.stderr, shown }),
    signal: context.signal,
  };
}

function call({ signal }: RemoteContext): CallOptions {
  return { signal };
}
