/** A push to a repository in a bucket: objects first, then all refs by one compare-and-swap. */

import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError, toOdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { readOdbConfig } from "../odb/config.js";
import type { Progress } from "../progress.js";
import type { Repository } from "../repo/git.js";
import { listPacks } from "../store/bucket-packs.js";
import type { Layout } from "../store/settings.js";
import { writeDerived } from "./derived.js";
import { freshen } from "./freshen.js";
import { completeObjects } from "./push-missing.js";
import { chooseHead, type Resolved, refuseLosses, resolveCommands } from "./push-refs.js";
import { uploadObjects } from "./push-upload.js";
import {
  clashes,
  type RefChange,
  type RefsSnapshot,
  type RefTable,
  readRefs,
  replaceRefs,
  withChanges,
} from "./refs-object.js";
import type { PushCommand, PushResult, RemoteOptions } from "./remote.js";
import { readDoomed } from "./removal.js";
import { checkDestination, initRepository } from "./repository.js";

/** Where a push goes, and its surroundings. */
export interface PushTarget {
  readonly repo: Repository;
  readonly bucket: Bucket;
  /** The remote's name, or its URL. */
  readonly remote: string;
  readonly url: string;
  /** For a bucket that is not initialised. */
  readonly layout?: Layout;
  warn(line: string): void;
  countBlobs(total: number): Progress;
  readonly signal?: AbortSignal;
}

/** What of `git push`'s options matters here. */
export type PushOptions = Pick<RemoteOptions, "atomic" | "dryRun" | "leases" | "progress">;

/** Others may be faster this many times; with the pauses between, half a minute. */
const ATTEMPTS = 60;

/**
 * Pushes. A ref moves only if it still is what `listed` said when git decided that it may. What is brought stands on the
 * refs that were there, and avoids what is being removed: it is looked at again when a collection has begun or ended
 * since. As long as none has, nothing has gone: not even what refs reached that somebody has deleted meanwhile.
 *
 * @returns one result a command, in their order
 * @throws OdbError unsupported, when the bucket has no conditional writes; config, when it is no place for this
 *   repository; what the bucket throws: the refs are then as they were
 */
export async function push(
  target: PushTarget,
  listed: RefsSnapshot,
  commands: readonly PushCommand[],
  options: PushOptions,
): Promise<PushResult[]> {
  const { repo, bucket } = target;
  const call: CallOptions = target.signal === undefined ? {} : { signal: target.signal };
  const resolved = await refuseLosses(repo, await resolveCommands(repo, commands), listed.table, options);
  const first = judge(resolved, listed, listed.table, options);
  if (options.dryRun || first.changes.length === 0) return first.results;
  const isSafe = await checkConditionalWrites(target, call);
  let brought: Brought | undefined;
  for (let attempt = 0; ; attempt++) {
    const snapshot = attempt === 0 ? listed : await readRefs(bucket, call);
    const { results, changes } = judge(resolved, listed, snapshot.table, options);
    if (changes.length === 0) return results;
    if (brought?.epoch !== snapshot.table.collection?.epoch || brought === undefined) {
      brought = await bringObjects(target, snapshot, changes, options, call);
    }
    const isThere = await freshen(bucket, brought.relied, call);
    const table = await moved(repo, snapshot.table, changes);
    if (isThere && (await replaceRefs(bucket, snapshot, table, isSafe, call)).written) {
      await publish(target, call);
      return results;
    }
    if (!isThere) brought = undefined;
    if (attempt + 1 >= ATTEMPTS) {
      throw new OdbError("unavailable", `${bucket.name}: others keep pushing at the same time: push again`);
    }
    await sleep(randomInt(10, 50) * Math.min(attempt + 1, 20), undefined, call);
  }
}

interface Judged {
  readonly results: PushResult[];
  /** What is to be done: accepted, and not so already. */
  readonly changes: RefChange[];
}

/** Which changes can be made on `now`, when git has decided on what was listed. */
function judge(
  resolved: readonly Resolved[],
  listed: RefsSnapshot,
  now: RefTable,
  options: PushOptions,
): Judged {
  const errors = new Map<string, string>();
  const changes: RefChange[] = [];
  for (const each of resolved) {
    const { ref } = each.command;
    if ("error" in each) {
      errors.set(ref, each.error);
      continue;
    }
    const current = now.refs.get(ref);
    // A lost answer, or somebody with the same wish: what was to be done is done.
    if (current === each.change.oid) continue;
    const why = objection(each.command, current, listed.table.refs.get(ref), options);
    if (why !== undefined) errors.set(ref, why);
    else changes.push(each.change);
  }
  for (const { folder, ref } of clashes(withChanges(now, changes, now.head))) {
    const changed = changes.find((change) => change.ref === ref) ? ref : folder;
    errors.set(changed, changed === ref ? `${folder} exists: there cannot be ${ref}` : `${ref} exists`);
  }
  const results = resolved.map(({ command: { ref } }): PushResult => {
    const error = errors.get(ref) ?? (options.atomic && errors.size > 0 ? "atomic push failed" : undefined);
    return error === undefined ? { ref } : { ref, error };
  });
  const accepted = new Set(results.filter(({ error }) => error === undefined).map(({ ref }) => ref));
  return { results, changes: changes.filter(({ ref }) => accepted.has(ref)) };
}

/** git's words for it (transport-helper.c), so that its own hints follow. */
function objection(
  { ref, force }: PushCommand,
  current: ObjectId | undefined,
  listed: ObjectId | undefined,
  { leases }: PushOptions,
): string | undefined {
  if (leases.has(ref) && leases.get(ref) !== current) return "stale info";
  if (current === listed) return undefined;
  return force ? "stale info" : "fetch first";
}

async function checkConditionalWrites(target: PushTarget, call: CallOptions): Promise<boolean> {
  const { bucket, repo, remote, url } = target;
  await bucket.create?.(call);
  await checkDestination(bucket, { hash: repo.hash }, call);
  if (await bucket.conditionalWrites(call)) return true;
  const odbs = [...(await readOdbConfig(repo)).values()];
  const mine = odbs.filter(
    ({ name, urls }) => name === remote || `odb-${name}` === remote || urls.includes(url),
  );
  if (mine.some(({ unsafePush }) => unsafePush)) return false;
  throw new OdbError(
    "unsupported",
    `${bucket.name} has no conditional writes, so pushes at the same time would lose refs: set odb.${mine[0]?.name ?? remote}.unsafePush if you are the only one`,
  );
}

/** What is in the bucket now for the new refs. */
interface Brought {
  /** Keys of blobs. */
  readonly relied: readonly string[];
  /** Of the collections, when it was brought: nothing that it needs was being removed. */
  readonly epoch: number | undefined;
}

async function bringObjects(
  target: PushTarget,
  { table, exists }: RefsSnapshot,
  changes: readonly RefChange[],
  options: PushOptions,
  call: CallOptions,
): Promise<Brought> {
  const { repo, bucket } = target;
  const layout = target.layout === undefined ? {} : { layout: target.layout };
  const settings = await initRepository(bucket, { hash: repo.hash, ...layout }, call);
  const tips = changes.map(({ oid }) => oid).filter((oid) => oid !== undefined);
  const epoch = table.collection?.epoch;
  if (tips.length === 0) return { relied: [], epoch };
  const have = [...table.refs.values()];
  const doomed = await readDoomed(bucket, table, call);
  const objects = await completeObjects(repo, bucket, settings, tips, have, doomed, call);
  const packs = exists ? await listPacks(bucket, call) : [];
  const promisor = packs.some((pack) => pack.promisor);
  const upload = { ...target, settings, promisor, doomed, progress: options.progress };
  return { relied: await uploadObjects(upload, objects), epoch };
}

/** The table after the push. HEAD is chosen when it names nothing that is there. */
async function moved(repo: Repository, table: RefTable, changes: readonly RefChange[]): Promise<RefTable> {
  const next = withChanges(table, changes, table.head);
  const isSet = next.head !== undefined && (isObjectId(next.head) || next.refs.has(next.head));
  if (isSet) return next;
  return { ...next, head: (await chooseHead(repo, next.refs)) ?? next.head };
}

/** The refs have moved already: a failure here is no failure of the push. */
async function publish({ bucket, warn }: PushTarget, call: CallOptions): Promise<void> {
  try {
    await writeDerived(bucket, call);
  } catch (cause) {
    const error = toOdbError(cause);
    warn(`pushed, but plain-HTTP readers see the old refs until the next push: ${error.message}`);
  }
}
