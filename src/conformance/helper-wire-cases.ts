/** Cases about the packets of process mode: handshake, statuses, the shape of answers. */

import { expect, fail } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { mustGet, mustPut } from "./helper-judge.js";
import { getOf, packetsOf } from "./helper-peer.js";
import { offeredByGit } from "./helper-session.js";
import { SkipCase } from "./run.js";

const statuses: readonly string[] = ["success", "notfound", "error", "abort"];

/** Cases for process mode. */
export const wireCases: readonly HelperCase[] = [
  {
    name: "welcome",
    why: "git takes nothing but git-read-object-server, version=1 and a flush-pkt for an answer, and gives the helper up",
    async run(lab) {
      const { welcome } = await lab.sharedSession();
      expect(
        welcome.length === 2 && welcome[0] === "git-read-object-server" && welcome[1] === "version=1",
        `the welcome was answered by ${welcome.join(", ") || "nothing"}`,
      );
    },
  },
  {
    name: "version-choice",
    why: "a later git may offer versions that this helper does not know: it picks the one that it does",
    async run(lab) {
      const { welcome } = await lab.session({ versions: [7, 1] });
      const chosen = welcome.filter((line) => line.startsWith("version="));
      expect(
        chosen.length === 1 && chosen[0] === "version=1",
        `offered versions 7 and 1, the helper chose ${chosen.join(" and ") || "none"}: 1 is the only one there is`,
      );
    },
  },
  {
    name: "unknown-capability",
    why: "a later git may offer capabilities that this helper does not know: it ignores them",
    async run(lab) {
      const { offers } = await lab.session({ offer: ["frobnicate", ...offeredByGit] });
      expect(!offers.includes("frobnicate"), "the helper claims frobnicate, which does not exist");
    },
  },
  {
    name: "capability-not-offered",
    why: "an older git (version 5 has no put_git_obj, the read-object hook no have) warns of what it did not offer",
    async run(lab) {
      const offer = ["get_git_obj"];
      const { offers } = await lab.session({ offer });
      const extra = offers.filter((capability) => !offer.includes(capability));
      expect(extra.length === 0, `offered get_git_obj alone, the helper answered ${extra.join(", ")} too`);
    },
  },
  {
    name: "init-answered",
    why: "git sends init first, always; a status that it does not know ends the helper there",
    async run(lab) {
      const { initStatus } = await lab.sharedSession();
      expect(initStatus === "success", `init was answered status=${initStatus}, not success`);
    },
  },
  {
    name: "lines-without-lf",
    needs: ["get", "put"],
    why: "the LF at the end of a text packet is git's habit, not its duty",
    async run(lab) {
      const session = await lab.session({ lf: false });
      const sample = lab.sample(701);
      await mustPut(session, sample);
      await mustGet(session, sample);
    },
  },
  {
    name: "known-status",
    why: "any word but success, notfound, error and abort gets the helper killed, and for a put makes git crash",
    async run(lab) {
      const session = await lab.sharedSession();
      const found: string[] = [];
      if (lab.capabilities.has("get")) found.push((await session.get(lab.absentOid())).status);
      if (lab.capabilities.has("have")) found.push(await session.have(() => {}));
      if (lab.capabilities.has("put")) {
        const { oid, bytes } = lab.sample(702);
        found.push(await session.put({ oid, size: 702, packets: [bytes] }));
        found.push(await session.put({ oid: lab.absentOid(), size: 702, packets: [bytes] }));
      }
      const unknown = found.filter((status) => !statuses.includes(status));
      expect(
        unknown.length === 0,
        `status=${unknown.join(", status=")} is not one of ${statuses.join(", ")}`,
      );
    },
  },
  {
    name: "get-never-aborts",
    needs: ["get"],
    why: "abort to the only get there is makes git die of an internal error at the next one",
    async run(lab) {
      const session = await lab.sharedSession();
      for (let miss = 1; miss <= 5; miss++) {
        const { status } = await session.get(lab.absentOid());
        expect(status !== "abort", `miss ${miss} in a row was answered status=abort`);
      }
    },
  },
  {
    name: "have-never-aborts",
    needs: ["have"],
    why: "after abort to have, git writes the next unmarked file nowhere when the get is get_direct: answer error",
    async run(lab) {
      const session = await lab.sharedSession();
      for (let time = 1; time <= 2; time++) {
        const status = await session.have(() => {});
        expect(status === "success", `have number ${time} of a session was answered status=${status}`);
      }
    },
  },
  {
    name: "put-small-packets",
    needs: ["get", "put"],
    why: "only the flush-pkt ends content: a packet that is not full is no end",
    async run(lab) {
      const sample = lab.sample(703);
      const session = await lab.sharedSession();
      const packets = [
        ...packetsOf(sample.bytes.subarray(0, 3), 1),
        ...packetsOf(sample.bytes.subarray(3), 100),
      ];
      const status = await session.put({ oid: sample.oid, size: 703, packets });
      expect(status === "success", `703 bytes in packets of 1 and 100 were answered status=${status}`);
      await mustGet(session, sample);
    },
  },
  {
    name: "raw-header",
    needs: ["get_raw_obj", "put"],
    why: "git makes the object's header of size= and kind=, and discards what does not hash",
    async run(lab) {
      const sample = lab.sample(704);
      const session = await lab.sharedSession();
      if (getOf(session.offers) !== "get_raw_obj") throw new SkipCase("the helper prefers get_git_obj");
      await mustPut(session, sample);
      const { header } = await session.get(sample.oid);
      const found = `size=${header?.size}, kind=${header?.kind}`;
      expect(found === "size=704, kind=blob", `${found} for a blob of 704 bytes`);
    },
  },
  {
    name: "no-empty-packet",
    needs: ["get_raw_obj", "put"],
    why: "an empty packet (0004) among the content of get_raw_obj makes git crash; an empty blob has none at all",
    async run(lab) {
      const session = await lab.sharedSession();
      for (const sample of [lab.sample(0), lab.sample(65516)]) {
        await mustPut(session, sample);
        const { misshapen } = await session.get(sample.oid);
        if (misshapen !== undefined) fail(`${sample.bytes.length} bytes: ${misshapen}`);
      }
    },
  },
];
