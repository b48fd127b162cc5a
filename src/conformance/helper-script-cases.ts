/** Cases of script mode alone: exit codes, stdout, and the faults of that client. */

import { expect, shown } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { mustGet, mustLack } from "./helper-judge.js";
import { offerOf, packetsOf } from "./helper-peer.js";
import { offeredByGit } from "./helper-session.js";

/** So much that git writes at a time: above it, it sends the same first bytes again (8 MiB). */
const WRITE_LIMIT = 8_388_608;

/** Cases for script mode. */
export const scriptCases: readonly HelperCase[] = [
  {
    name: "init-lines",
    why: "git reads capability= lines from init and warns of capabilities that it does not know",
    async run(lab) {
      const { init } = await lab.scripts();
      const lines = init?.stdout.toString("latin1").split("\n").filter(Boolean) ?? [];
      const known = offeredByGit.map((capability) => `capability=${capability}`);
      const junk = lines.filter((line) => !known.includes(line));
      expect(
        junk.length === 0,
        () => `init printed ${shown(Buffer.from(junk[0] ?? ""))}: messages go to stderr`,
      );
    },
  },
  {
    name: "unknown-instruction",
    why: "an instruction of a later git is refused by a non-zero exit: exit 0 says that it was done",
    async run(lab) {
      const { exit, stdout } = await (await lab.scripts()).run(["frobnicate", lab.absentOid()]);
      expect(exit.code !== 0, "frobnicate, which does not exist, ended with exit 0");
      expect(stdout.length === 0, () => `frobnicate, which does not exist, printed ${shown(stdout)}`);
    },
  },
  {
    name: "put-stdout-closed",
    needs: ["get", "put"],
    why: "git closes a put's stdout unread and ignores its exit code: what dies of a message there has lost the object",
    async run(lab) {
      const sample = lab.sample(901);
      const scripts = await lab.scripts();
      const { note } = await scripts.putUnread(offerOf(sample));
      const { status } = await scripts.get(sample.oid);
      expect(status === "success", `a put whose stdout is closed stored nothing (it ended with ${note})`);
      await mustGet(scripts, sample);
    },
  },
  {
    name: "put-repeats-8MiB",
    big: true,
    needs: ["get", "put"],
    why: "above 8 MiB git sends the first 8 MiB again instead of the rest and ignores the exit code: at least do not store it",
    async run(lab) {
      const sample = lab.sample(WRITE_LIMIT + 1000);
      const wrong = Buffer.concat([sample.bytes.subarray(0, WRITE_LIMIT), sample.bytes.subarray(0, 1000)]);
      const peer = await lab.shared();
      const status = await peer.put({ oid: sample.oid, size: wrong.length, packets: packetsOf(wrong) });
      expect(status !== "success", "the put of repeated bytes ended with exit 0");
      await mustLack(peer, sample.oid, "its bytes never came");
    },
  },
];
