/** `git odb fsck`: are the objects that git may rely on in the store, and are they what they should be? */

import type { Command } from "commander";
import { OdbError, toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { readOdbConfig, requireOdbConfig } from "../odb/config.js";
import { readMetadata } from "../odb/refs.js";
import type { Odb } from "../odb/session.js";
import type { Progress } from "../progress.js";
import { openRepository } from "../repo/git.js";
import { asRaw } from "../store/encoding.js";
import type { ObjectStore } from "../store/store.js";
import type { Context, OutputOptions } from "./context.js";
import { counted } from "./count.js";
import { withOdb } from "./odb.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly store?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("[name...]", "only these ODBs")
    .option("--store", "read and hash every object of the store, too");
  addOutputOptions(command).action((names: string[], options: Options) => fsck(names, options, context));
}

async function fsck(names: readonly string[], options: Options, context: Context): Promise<void> {
  const repo = await openRepository();
  const all = names.length > 0 ? names : [...(await readOdbConfig(repo)).keys()];
  if (all.length === 0)
    throw new OdbError("config", `${repo.name} has no ODB: run "git odb init <name> <url>"`);
  for (const name of all) await requireOdbConfig(repo, name);
  for (const name of all) {
    const { checked, bad } = await withOdb(repo, name, context, (odb) => check(odb, options, context));
    context.note(`ODB ${name}: ${counted(checked, "object")} checked, ${bad} bad`, options);
    if (bad > 0) process.exitCode = 1;
  }
}

/** What is wrong with an object, or undefined. */
type Check = (store: ObjectStore, oid: ObjectId, told?: ObjectInfo) => Promise<string | undefined>;

async function check(
  odb: Odb,
  options: Options,
  context: Context,
): Promise<{ checked: number; bad: number }> {
  const store = await odb.store();
  const { signal } = context;
  const { infos, refused } = await readMetadata(odb.repo, odb.name);
  for (const line of refused) await context.print(`bad ref: ${line}\n`);
  const progress = context.progress(`Checking ${odb.name}`, undefined, options);
  const read: Check = (...args) => readWhole(...args, progress, context);
  const look: Check = (...args) => stat(...args, context);
  const seen = new Set<ObjectId>();
  let bad = refused.length;
  const judge = async (fault: Check, where: ObjectStore, oid: ObjectId, told?: ObjectInfo) => {
    signal.throwIfAborted();
    seen.add(oid);
    const found = await fault(where, oid, told);
    progress.add(1);
    if (found === undefined) return;
    bad += 1;
    await context.print(`${found}\n`);
    // git must not be told again that it may rely on this one.
    if (told && infos.has(oid)) await odb.forget([told]);
  };
  // Of several stores each is read by itself, below: asked together, the first would hide what the others have.
  const first = options.store && store.tiers === undefined ? read : look;
  for (const [oid, told] of infos) await judge(first, store, oid, told);
  for (const each of options.store ? (store.tiers ?? [store]) : []) {
    const known = store.tiers === undefined ? seen : new Set<ObjectId>();
    const broken: ObjectId[] = [];
    for await (const info of each.list({ signal, onBad: (oid) => broken.push(oid) })) {
      if (!known.has(info.oid)) await judge(read, each, info.oid, infos.get(info.oid) ?? info);
    }
    for (const oid of broken) if (!known.has(oid)) await judge(read, each, oid);
  }
  progress.finish();
  return { checked: seen.size, bad };
}

async function stat(
  store: ObjectStore,
  oid: ObjectId,
  told: ObjectInfo | undefined,
  context: Context,
): Promise<string | undefined> {
  const found = await store.stat(oid, { signal: context.signal }).catch(onlyIntegrity);
  if (found instanceof OdbError) return `bad ${oid}: ${found.message}`;
  if (found === undefined) return `missing ${oid}: not in ${store.name}`;
  return differs(found, told);
}

async function readWhole(
  store: ObjectStore,
  oid: ObjectId,
  told: ObjectInfo | undefined,
  progress: Progress,
  context: Context,
): Promise<string | undefined> {
  try {
    const stored = await store.get(oid, { signal: context.signal });
    if (stored === undefined) return `missing ${oid}: not in ${store.name}`;
    // asRaw hashes what passes, and throws at the end.
    for await (const _ of progress.through(asRaw(stored))) context.signal.throwIfAborted();
    return differs(stored.info, told);
  } catch (error) {
    return `bad ${oid}: ${onlyIntegrity(error).message}, in ${store.name}`;
  }
}

function differs(found: ObjectInfo, told: ObjectInfo | undefined): string | undefined {
  if (!told || (found.size === told.size && found.type === told.type)) return undefined;
  return `bad ${found.oid}: a ${found.type} of ${found.size} bytes, but its metadata say a ${told.type} of ${told.size}`;
}

/** Wrong bytes are a finding; a store that does not answer is not. */
function onlyIntegrity(error: unknown): OdbError {
  const failure = toOdbError(error);
  if (failure.code === "integrity") return failure;
  throw failure;
}
