/** Cases about a whole session of process mode: its length, its end, its stdout. */

import { expect, fail, shown } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { checkHaveLine } from "./helper-have-cases.js";
import { mustGet, mustLack, mustPut } from "./helper-judge.js";
import type { Sample } from "./helper-peer.js";
import { formatExit } from "./helper-process.js";

/** So many have lines take more than one packet of 65516 bytes: each is of 49 bytes at least. */
const MANY_OBJECTS = 1400;

/** Cases for process mode. */
export const sessionCases: readonly HelperCase[] = [
  {
    name: "flushes-every-answer",
    needs: ["get", "put"],
    why: "git sends nothing more before it has the whole answer: one that waits in a buffer, or lacks its flush-pkt, waits for ever",
    async run(lab) {
      const session = await lab.sharedSession();
      for (const size of [801, 802, 803]) {
        const sample = lab.sample(size);
        await mustPut(session, sample);
        await mustGet(session, sample);
      }
    },
  },
  {
    name: "stays-for-the-session",
    needs: ["get", "put"],
    why: "git starts one process for all that a command does: one that leaves early takes the rest with it",
    async run(lab) {
      const session = await lab.sharedSession();
      for (const size of [811, 812]) {
        const sample = lab.sample(size);
        await mustPut(session, sample);
        await mustGet(session, sample);
        if (lab.capabilities.has("have")) await session.have(() => {});
      }
    },
  },
  {
    name: "survives-a-miss",
    needs: ["get"],
    why: "git asks for what may not be there, and goes on",
    async run(lab) {
      const session = await lab.sharedSession();
      await session.get(lab.absentOid());
      await session.get(lab.absentOid());
      if (lab.capabilities.has("put")) await mustPut(session, lab.sample(813));
    },
  },
  {
    name: "nothing-but-packets",
    why: "a line printed on stdout is read as the next packet: messages go to stderr",
    async run(lab) {
      const session = await lab.session();
      if (lab.capabilities.has("get")) await session.get(lab.absentOid());
      if (lab.capabilities.has("put")) await mustPut(session, lab.sample(814));
      const rest = await session.rest();
      if (rest !== undefined) {
        fail(`after its last answer the helper wrote ${rest === null ? "a flush-pkt" : shown(rest)}`);
      }
    },
  },
  {
    name: "eof-ends",
    why: "git closes the pipe and waits for the helper to exit",
    async run(lab) {
      const session = await lab.session();
      session.process.stdin.end();
      const exit = await session.process.exit("the helper to exit after EOF");
      expect(exit.code === 0, `after EOF the helper ended with ${formatExit(exit)}, not exit 0`);
    },
  },
  {
    name: "eof-in-put",
    needs: ["get", "put"],
    why: "git may be killed in the middle of a put: what came so far is no object",
    async run(lab) {
      const sample = lab.sample(820);
      const session = await lab.session();
      await session.startPut({ oid: sample.oid, size: 820, packets: [sample.bytes.subarray(0, 410)] });
      await session.close();
      await mustLack(await lab.shared(), sample.oid, "only half of it was put");
    },
  },
  {
    name: "10000-commands",
    big: true,
    needs: ["get"],
    why: "a checkout asks one process for all its blobs: nothing may add up, leak or run out",
    async run(lab) {
      const session = await lab.session();
      const sample = lab.capabilities.has("put") ? lab.sample(100) : undefined;
      if (sample) await mustPut(session, sample);
      const oid = sample?.oid ?? lab.absentOid();
      const expected = sample ? "success" : "notfound";
      for (let command = 1; command < 10_000; command++) {
        const { status } = await session.get(oid);
        expect(status === expected, `get number ${command} in a row was answered status=${status}`);
      }
    },
  },
  {
    name: "have-many",
    big: true,
    needs: ["have", "put"],
    why: "a have longer than a packet is cut between lines: git joins nothing across packets",
    async run(lab) {
      const session = await lab.session();
      const samples = Array.from({ length: MANY_OBJECTS }, () => lab.sample(64));
      for (const sample of samples) await mustPut(session, sample);
      await session.close();
      const next = await lab.next();
      const missing = new Set(samples.map((sample: Sample) => sample.oid as string));
      await next.have((line) => {
        checkHaveLine(line);
        missing.delete(line.slice(0, line.indexOf(" ")));
      });
      expect(missing.size === 0, `of ${MANY_OBJECTS} objects put, have does not name ${missing.size}`);
    },
  },
];
