/** What a helper does with the commands of git: an ODB of the repository, behind the protocol's handler. */

import { type GetKind, OdbError, type OdbHandler } from "../protocol/index.js";
import { toOdbError } from "../src/errors.js";
import type { ObjectId } from "../src/object/id.js";
import { keptWarning } from "../src/odb/keep.js";
import type { Odb } from "../src/odb/session.js";
import { asLoose, asRaw } from "../src/store/encoding.js";
import { runBundleStep } from "./bundle-step.js";
import { makeExternalFolder } from "./external-folder.js";
import { prefetcher } from "./prefetch.js";

/** How a handler serves its ODB. */
export interface StoreHandlerOptions {
  /**
   * For a git that ignores what becomes of a put (script mode): an object that the store cannot take is kept in the
   * repository, and queued. Otherwise it is refused, and git keeps it.
   */
  readonly keepRefused: boolean;
  /** Takes one line for the user. */
  readonly warn: (line: string) => void;
}

/** When nothing in this run has reached the store, sending what waits for it may take this long (milliseconds). */
const QUEUE_PATIENCE = 2000;

/** The handler of one run of a helper. Closing it closes the ODB. */
export function storeHandler(
  odb: Odb,
  options: StoreHandlerOptions,
): Required<Omit<OdbHandler, "putGitObject">> {
  const contact: Contact = { reached: false, failed: false };
  const touch = <T>(call: Promise<T>) => watched(contact, call);
  const prefetch = prefetcher(odb);
  return {
    async init() {
      if (odb.config.get !== "direct") await makeExternalFolder(odb.repo.objectsDir);
      await runBundleStep(odb, options.warn);
    },

    async getRawObject(oid) {
      const stored = await touch(odb.get(oid));
      return stored && { info: stored.info, content: asRaw(stored) };
    },

    async getGitObject(oid) {
      const stored = await touch(odb.get(oid));
      return stored && asLoose(stored);
    },

    async getDirect(oid) {
      const found = await touch(odb.install(oid));
      if (found) await prefetch(oid).catch((error: unknown) => options.warn(toOdbError(error).message));
      return found;
    },

    async putRawObject(info, content) {
      if (!options.keepRefused) return touch(odb.put(info, content));
      const outcome = await odb.putOrQueue(info, content);
      contact.reached ||= outcome.state === "stored";
      contact.failed ||= outcome.state === "queued";
      if (outcome.state === "queued") options.warn(keptWarning(info.oid, odb.name, outcome.why));
    },

    async putDirect(info) {
      await touch(putFromRepository(odb, info.oid));
    },

    have: () => odb.haveAtOnce(),

    async close() {
      try {
        if (!contact.failed) await sendQueued(odb, contact, options.warn);
      } finally {
        await odb.close();
      }
    },
  };
}

/** A handler whose every answer is the failure to open its ODB: git then goes on with what it has itself. */
export function brokenHandler(error: OdbError, get: GetKind = "git"): OdbHandler {
  const fail = async (): Promise<never> => {
    throw error;
  };
  return {
    init: fail,
    ...(get === "direct" ? { getDirect: fail } : { getRawObject: fail, getGitObject: fail }),
    putRawObject: fail,
    // biome-ignore lint/correctness/useYield: it fails before there is anything to yield
    async *have() {
      await fail();
    },
  };
}

interface Contact {
  reached: boolean;
  failed: boolean;
}

async function watched<T>(contact: Contact, call: Promise<T>): Promise<T> {
  try {
    const result = await call;
    contact.reached = true;
    return result;
  } catch (error) {
    contact.failed = true;
    throw error;
  }
}

async function putFromRepository(odb: Odb, oid: ObjectId): Promise<void> {
  const { openCatFile } = await import("../src/repo/cat-file.js");
  await using objects = openCatFile(odb.repo);
  const local = await objects.get(oid);
  if (local === undefined) throw new OdbError("invalid", `object ${oid} is not in this repository`);
  await odb.put(local.info, local.content);
}

/** What an earlier run had to queue goes now, unless this run has seen the store fail. */
async function sendQueued(odb: Odb, contact: Contact, warn: (line: string) => void): Promise<void> {
  if ((await odb.queued()).length === 0) return;
  const { sent, left, why } = await odb.sendQueued(
    contact.reached ? {} : { signal: AbortSignal.timeout(QUEUE_PATIENCE) },
  );
  if (sent.length > 0)
    warn(`${sent.length} object(s) that waited for the store of "${odb.name}" are stored now`);
  if (left.length > 0)
    warn(`${left.length} object(s) still wait for the store of "${odb.name}": ${why?.message}`);
}
