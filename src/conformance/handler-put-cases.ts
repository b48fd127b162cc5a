import type { Content } from "../object/content.js";
import type { ContractCase } from "./contract.js";
import { expect } from "./expect.js";
import {
  type HandlerSubject,
  mustHold,
  mustLack,
  mustRefuse,
  named,
  packets,
  put,
  putBlob,
  randomBlob,
  session,
} from "./handler-subject.js";

/** `putRawObject`. */
export const puts: readonly ContractCase<HandlerSubject>[] = [
  {
    name: "put-corrupt",
    needs: ["put"],
    why: "after success git keeps no copy: wrong bytes taken for an object are an object lost",
    async run(subject) {
      const { info, bytes } = randomBlob(subject, 1000);
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
      const { info, bytes } = randomBlob(subject, 1001);
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
      const { info, bytes } = randomBlob(subject, 300_000);
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
      const blob = randomBlob(subject, 200);
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
      const blob = randomBlob(subject, 1500);
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
      const both = randomBlob(subject, 300_000);
      const own = randomBlob(subject, 203);
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
