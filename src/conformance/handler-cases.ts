/** The contract of an OdbHandler, called in the process: what git relies on, with no wire in between. */

import { randomBytes } from "node:crypto";
import type { OdbHandler } from "../../protocol/handler.js";
import type { Content } from "../object/content.js";
import type { ContractCase } from "./contract.js";
import { expect } from "./expect.js";
import {
  type Blob,
  blobOf,
  type HandlerSubject,
  mustHold,
  mustLack,
  mustRefuse,
  named,
  packets,
  put,
  session,
} from "./handler-subject.js";

type HandlerCase = ContractCase<HandlerSubject>;

const MiB = 1024 * 1024;

/** So many of the objects that `have` names are got; all of them when there are no more. */
const SAMPLED = 20;

const random = (subject: HandlerSubject, size: number) => blobOf(randomBytes(size), subject);

const putBlob = (handler: OdbHandler, { info, bytes }: Blob) => put(handler, info, packets(bytes));

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
      const { oid } = random(subject, 100).info;
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
      const blob = random(subject, MiB);
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
      const blob = random(subject, 400);
      await session(subject, (handler) => putBlob(handler, blob));
      await session(subject, (handler) => mustHold(handler, blob));
    },
  },
];

const puts: readonly HandlerCase[] = [
  {
    name: "put-corrupt",
    needs: ["put"],
    why: "after success git keeps no copy: wrong bytes taken for an object are an object lost",
    async run(subject) {
      const { info, bytes } = random(subject, 1000);
      const wrong = Buffer.from(bytes);
      wrong[999] = (wrong[999] ?? 0) ^ 1;
      await session(subject, async (handler) => {
        await mustRefuse(handler, info, packets(wrong), "content that does not hash to it");
        await mustLack(handler, info.oid, "its put was refused");
        expect(!(await named(handler)).has(info.oid), `have names object ${info.oid}, whose put was refused`);
      });
    },
  },
  {
    name: "put-wrong-size",
    needs: ["put"],
    why: "a size that is not the content's makes a have line that git trusts and an object that it cannot read",
    async run(subject) {
      const { info, bytes } = random(subject, 1001);
      await session(subject, async (handler) => {
        for (const size of [1000, 1002])
          await mustRefuse(handler, { ...info, size }, packets(bytes), `1001 bytes with size ${size}`);
      });
    },
  },
  {
    name: "put-breaks-off",
    needs: ["put"],
    why: "git may be killed in the middle of a put: what came so far is no object",
    async run(subject) {
      const { info, bytes } = random(subject, 300_000);
      async function* broken(): Content {
        yield* packets(bytes.subarray(0, 200_000));
        throw new Error("git is gone");
      }
      await session(subject, async (handler) => {
        await mustRefuse(handler, info, broken(), "content that broke off");
        await mustLack(handler, info.oid, "its put broke off");
        await putBlob(handler, { info, bytes });
        await mustHold(handler, { info, bytes });
      });
    },
  },
  {
    name: "put-twice",
    needs: ["get", "put"],
    why: "git puts a blob again whenever it adds the same content: that is a success, not an error",
    async run(subject) {
      const blob = random(subject, 200);
      await session(subject, async (handler) => {
        await putBlob(handler, blob);
        await putBlob(handler, blob);
        await mustHold(handler, blob);
      });
    },
  },
  {
    name: "put-small-chunks",
    needs: ["get", "put"],
    why: "content comes in chunks of any size, empty ones too, and a chunk's memory may be used again",
    async run(subject) {
      const blob = random(subject, 1500);
      async function* chunks(): Content {
        const memory = Buffer.alloc(7);
        for (let at = 0; at < blob.bytes.length; at += 7) {
          yield Buffer.alloc(0);
          yield Buffer.from(memory.subarray(0, blob.bytes.copy(memory, 0, at, at + 7)));
        }
      }
      await session(subject, async (handler) => {
        await put(handler, blob.info, chunks());
        await mustHold(handler, blob);
      });
    },
  },
  {
    name: "two-at-once",
    needs: ["get", "put"],
    why: "two gits run at a time (a hook inside a commit, two worktrees): neither may lock the other out",
    async run(subject) {
      const both = random(subject, 300_000);
      const own = random(subject, 203);
      await session(subject, (one) =>
        session(subject, async (other) => {
          await Promise.all([putBlob(one, both), putBlob(other, both), putBlob(other, own)]);
          await mustHold(one, both);
          await mustHold(other, own);
        }),
      );
    },
  },
];

const haves: readonly HandlerCase[] = [
  {
    name: "have-after-put",
    needs: ["have", "put"],
    why: "an object that have does not name is missing to git, and one of another size is thrown away by it",
    async run(subject) {
      const { info, bytes } = random(subject, 321);
      const mustName = async (handler: OdbHandler, when: string) => {
        const found = (await named(handler)).get(info.oid);
        expect(found !== undefined, `have does not name object ${info.oid} ${when}`);
        const same = found?.size === info.size && found.type === info.type;
        expect(same, `have says ${found?.type} of ${found?.size} bytes, and a blob of ${info.size} was put`);
      };
      await session(subject, async (handler) => {
        await putBlob(handler, { info, bytes });
        await mustName(handler, "after its put");
      });
      await session(subject, (handler) => mustName(handler, "in the next session"));
    },
  },
  {
    name: "have-is-true",
    needs: ["have", "get"],
    why: "git does not write what have names, and gc drops its own copy: a name that the store lacks is an object lost",
    async run(subject) {
      await session(subject, async (handler) => {
        const all = [...(await named(handler)).keys()];
        const step = Math.max(1, Math.floor(all.length / SAMPLED));
        for (const oid of all.filter((_, at) => at % step === 0)) {
          const found = (await handler.getGitObject?.(oid)) ?? (await handler.getRawObject?.(oid))?.content;
          expect(found !== undefined, `have names object ${oid}, and it is not there`);
          for await (const _ of found ?? []);
        }
      });
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
    const blob = random(subject, size);
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
      const blob = random(subject, 1000);
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
