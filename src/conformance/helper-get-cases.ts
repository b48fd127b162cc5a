/** Cases about gets in both modes. */

import { hashObject } from "../object/content.js";
import { algorithmOf } from "../object/id.js";
import { expect, fail, shown } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { expectSample, mustGet, mustPut } from "./helper-judge.js";

/** Cases for both modes. */
export const getCases: readonly HelperCase[] = [
  {
    name: "get-oid",
    needs: ["get", "oid"],
    why: "git warns of an object that does not hash to its name, keeps it all the same, and exits 0",
    async run(lab) {
      const oid = lab.oid ?? fail("no --oid");
      const { status, content } = await (await lab.shared()).get(oid);
      expect(status === "success", `the get of --oid ${oid} was answered status=${status}, not success`);
      if (content === undefined) fail(`the get of --oid ${oid}: success, but there is no such object`);
      const found = hashObject("blob", content, algorithmOf(oid));
      expect(found === oid, `the get of --oid ${oid}: the bytes hash to ${found}`);
    },
  },
  {
    name: "get-absent",
    needs: ["get"],
    why: "get_git_obj: flush-pkt, status=notfound, flush-pkt, else git hangs; get_raw_obj: size=0, kind=none, then the status; a script exits non-zero and prints nothing",
    async run(lab) {
      const peer = await lab.shared();
      const got = await peer.get(lab.absentOid());
      expect(got.status !== "success", "an object that nobody has was answered status=success");
      if (got.misshapen !== undefined) fail(got.misshapen);
      if (got.wire && got.wire.length > 0) fail(`an absent object came with bytes: ${shown(got.wire)}`);
      if (lab.mode === "script") return;
      if (got.status !== "notfound") {
        fail(`an absent object was answered status=${got.status}, not notfound${await peer.said()}`);
      }
      if (got.header) {
        const { size, kind } = got.header;
        expect(size === "0" && kind === "none", `size=${size}, kind=${kind} instead of size=0, kind=none`);
      }
    },
  },
  {
    name: "get-next-session",
    needs: ["get", "put"],
    why: "the next command of git starts a new helper: success to a put means durable, where that one can read it",
    async run(lab) {
      const sample = lab.sample(400);
      await mustPut(await lab.shared(), sample);
      await mustGet(await lab.next(), sample);
    },
  },
  {
    name: "direct-installs",
    needs: ["get_direct", "put"],
    why: "after get_direct git looks among its own loose objects and packs",
    async run(lab) {
      const sample = lab.sample(500);
      const peer = await lab.shared();
      await mustPut(peer, sample);
      const got = await peer.get(sample.oid);
      expect(got.status !== "success" || got.content !== undefined, "success, but nothing in the repository");
      expectSample(got, sample);
    },
  },
];
