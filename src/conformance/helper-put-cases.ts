/** Cases about puts in both modes. */

import { expect } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { mustGet, mustLack, mustPut } from "./helper-judge.js";
import { packetsOf } from "./helper-peer.js";

/** Cases for both modes. */
export const putCases: readonly HelperCase[] = [
  {
    name: "put-corrupt",
    needs: ["put"],
    why: "after success git keeps no copy: wrong bytes taken for an object are an object lost",
    async run(lab) {
      const sample = lab.sample(1000);
      const wrong = Buffer.from(sample.bytes);
      wrong[999] = (wrong[999] ?? 0) ^ 1;
      const peer = await lab.shared();
      const status = await peer.put({ oid: sample.oid, size: 1000, packets: [wrong] });
      expect(status !== "success", "bytes that do not hash to their oid were answered status=success");
      if (lab.capabilities.has("get")) await mustLack(peer, sample.oid, "its put was refused");
    },
  },
  {
    name: "put-wrong-size",
    needs: ["put"],
    why: "a size that is not the content's makes a have line that git trusts and an object that it cannot read",
    async run(lab) {
      const sample = lab.sample(1001);
      const peer = await lab.shared();
      for (const size of [1000, 1002]) {
        const status = await peer.put({ oid: sample.oid, size, packets: [sample.bytes] });
        expect(status !== "success", `1001 bytes put with size=${size} were answered status=success`);
      }
    },
  },
  {
    name: "put-refused-is-read",
    needs: ["put"],
    why: "git writes a put to its end before it reads the answer: a helper that stops reading hangs it, or takes content for commands",
    async run(lab) {
      const sample = lab.sample(300_000);
      const peer = await lab.shared();
      await peer.put({ oid: sample.oid, size: 10, packets: packetsOf(sample.bytes) });
      await mustPut(peer, lab.sample(201));
    },
  },
  {
    name: "put-twice",
    needs: ["get", "put"],
    why: "git puts a blob again whenever it adds the same content: that is a success, not an error",
    async run(lab) {
      const sample = lab.sample(200);
      const peer = await lab.shared();
      await mustPut(peer, sample);
      await mustPut(peer, sample);
      await mustGet(peer, sample);
    },
  },
  {
    name: "put-slowly",
    needs: ["get", "put"],
    why: "a pipe delivers what it likes: a read is no packet, and a short read no end",
    async run(lab) {
      const sample = lab.sample(250);
      const peer = await lab.fresh({ slow: true });
      await mustPut(peer, sample);
      await mustGet(peer, sample);
    },
  },
  {
    name: "two-at-once",
    needs: ["get", "put"],
    why: "two gits run at a time (a hook inside a commit, two worktrees): neither may lock the other out, nor wait for it",
    async run(lab) {
      const both = lab.sample(202);
      const one = await lab.fresh();
      const other = await lab.shared();
      await mustPut(one, both);
      await mustGet(other, both);
      await Promise.all([mustPut(one, lab.sample(203)), mustPut(other, both)]);
      await mustGet(one, both);
    },
  },
];
