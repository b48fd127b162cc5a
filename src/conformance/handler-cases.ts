/** The contract of an OdbHandler, called in the process: what git relies on, with no wire in between. */

import type { Content } from "../object/content.js";
import type { ContractCase } from "./contract.js";
import { expect } from "./expect.js";
import { haves } from "./handler-have-cases.js";
import { puts } from "./handler-put-cases.js";
import { type HandlerSubject, mustHold, mustLack, putBlob, randomBlob, session } from "./handler-subject.js";

type HandlerCase = ContractCase<HandlerSubject>;

const MiB = 1024 * 1024;

const offers: readonly HandlerCase[] = [
  {
    name: "have-offered",
    why: "without have, every existence check of git is a get; with getDirect and no have, git add stores nothing",
    async run(subject) {
      await session(subject, async (handler) => expect(handler.have !== undefined, "there is no have"));
    },
  },
  {
    name: "get-offered",
    why: "what was put where nothing can be got is lost to git",
    async run(subject) {
      await session(subject, async ({ getGitObject, getRawObject, getDirect, putRawObject }) => {
        const gets = getGitObject ?? getRawObject ?? getDirect;
        expect(gets !== undefined || putRawObject === undefined, "it puts, and has no get");
      });
    },
  },
];

const gets: readonly HandlerCase[] = [
  {
    name: "get-absent",
    why: "git asks the next ODB only when this one says that it has not got the object: undefined, no error",
    async run(subject) {
      const { oid } = randomBlob(subject, 100).info;
      await session(subject, async (handler) => {
        await mustLack(handler, oid, "nobody has put it");
        expect(!(await handler.getDirect?.(oid)), `getDirect installed object ${oid}, which nobody has put`);
      });
    },
  },
  {
    name: "get-left-early",
    needs: ["get", "put"],
    why: "git may be killed, or stop reading, in the middle of an answer: the next get must not suffer",
    async run(subject) {
      const blob = randomBlob(subject, MiB);
      await session(subject, async (handler) => {
        await putBlob(handler, blob);
        for (let n = 0; n < 20; n++) {
          await firstOf((await handler.getRawObject?.(blob.info.oid))?.content);
          await firstOf(await handler.getGitObject?.(blob.info.oid));
        }
        await mustHold(handler, blob);
      });
    },
  },
  {
    name: "get-next-session",
    needs: ["get", "put"],
    why: "the next command of git starts a new helper: a put that resolves means durable, where that one can read it",
    async run(subject) {
      const blob = randomBlob(subject, 400);
      await session(subject, (handler) => putBlob(handler, blob));
      await session(subject, (handler) => mustHold(handler, blob));
    },
  },
];

const sizes: readonly (readonly [string, number, string])[] = [
  ["blob-empty", 0, "an empty blob is an object, not the absence of one"],
  ["blob-1-byte", 1, "the smallest content: no room for a handler that peeks at what it gets"],
  ["blob-65517-bytes", 65517, "one byte more than a packet carries"],
  ["blob-20MiB", 20 * MiB, "more than any buffer holds: what is not read on, or kept whole, shows here"],
];

const blobs: readonly HandlerCase[] = sizes.map(([name, size, why]) => ({
  name,
  why,
  needs: ["get", "put"],
  async run(subject) {
    const blob = randomBlob(subject, size);
    await session(subject, async (handler) => {
      await putBlob(handler, blob);
      await mustHold(handler, blob);
    });
  },
}));

/** Last: what it leaves in the store is broken. */
const corruptions: readonly HandlerCase[] = [
  {
    name: "get-corrupt",
    needs: ["get", "put", "corrupt"],
    why: "git warns of an object that does not hash to its name, keeps it all the same, and exits 0",
    async run(subject) {
      const blob = randomBlob(subject, 1000);
      await session(subject, (handler) => putBlob(handler, blob));
      await subject.corrupt?.(blob.info.oid);
      await session(subject, async (handler) => {
        const raw = async () => (await handler.getRawObject?.(blob.info.oid))?.content;
        const loose = async () => handler.getGitObject?.(blob.info.oid);
        for (const get of [raw, loose]) {
          const ended = await drained(get);
          expect(!ended, `object ${blob.info.oid} was given to its end, though its bytes are not the object`);
        }
      });
    },
  },
];

/** The cases, in the order in which they run. For a test runner of your own, or {@link runHandlerConformance}. */
export const handlerCases: readonly ContractCase<HandlerSubject>[] = [
  ...offers,
  ...gets,
  ...puts,
  ...blobs,
  ...haves,
  ...corruptions,
];

/** Whether content was given and came to its end. */
async function drained(get: () => Promise<Content | undefined>): Promise<boolean> {
  try {
    const content = await get();
    for await (const _ of content ?? []);
    return content !== undefined;
  } catch {
    // However it says so.
    return false;
  }
}

async function firstOf(content: Content | undefined): Promise<void> {
  for await (const _ of content ?? []) return;
}
