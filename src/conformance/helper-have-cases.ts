/** Cases about have in both modes. */

import { OdbError } from "../errors.js";
import { hashObject } from "../object/content.js";
import { algorithmOf, isObjectId, type ObjectId } from "../object/id.js";
import { parseInfo } from "../object/info.js";
import { expect, fail } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { isNamed, mustPut } from "./helper-judge.js";
import type { Peer } from "./helper-peer.js";

/** So many of the objects that have names are got and hashed; all of them when there are no more. */
const SAMPLED = 20;

/** Cases for both modes. */
export const haveCases: readonly HelperCase[] = [
  {
    name: "have-well-formed",
    needs: ["have"],
    why: "git stops reading a packet at the first line that is no `<oid> <size> <type>`, and joins nothing across packets",
    async run(lab) {
      const peer = await lab.shared();
      if (lab.capabilities.has("put")) await mustPut(peer, lab.sample(306));
      await peer.have(checkHaveLine);
    },
  },
  {
    name: "have-after-put",
    needs: ["have", "put"],
    why: "an object that have does not name is missing to git: the commit that follows an add would not find it",
    async run(lab) {
      const sample = lab.sample(300);
      const peer = await lab.shared();
      await mustPut(peer, sample);
      expect(await isNamed(peer, sample.oid), "have does not name what was just put");
    },
  },
  {
    name: "have-next-session",
    needs: ["have", "put"],
    why: "the next command of git starts a new helper and asks it what there is",
    async run(lab) {
      const sample = lab.sample(301);
      await mustPut(await lab.shared(), sample);
      expect(await isNamed(await lab.next(), sample.oid), "a new helper's have does not name what was put");
    },
  },
  {
    name: "have-true-size",
    needs: ["have", "put"],
    why: "git reports that size, and in script mode throws away an object that is of another",
    async run(lab) {
      const sample = lab.sample(305);
      const peer = await lab.shared();
      await mustPut(peer, sample);
      let found = "";
      await peer.have((line) => {
        if (line.startsWith(sample.oid)) found = line;
      });
      if (found === "") fail("have does not name what was just put");
      expect(found === `${sample.oid} 305 blob`, `have says "${found}" of a blob of 305 bytes`);
    },
  },
  {
    name: "have-is-true",
    needs: ["have", "get"],
    why: "git does not write what have names, and gc drops its own copy: a name that the store lacks is an object lost",
    async run(lab) {
      const peer = await lab.shared();
      if (lab.capabilities.has("put")) await mustPut(peer, lab.sample(307));
      for (const oid of await sampleOfHave(peer)) await mustHold(peer, oid);
    },
  },
];

/** @throws AssertionError unless it is a whole line of have */
export function checkHaveLine(line: string): void {
  try {
    parseInfo(line);
  } catch (error) {
    if (error instanceof OdbError) fail(`have: ${error.message}`);
    throw error;
  }
}

/** Some of the names, each as likely as any other, however many there are (reservoir sampling). */
async function sampleOfHave(peer: Peer): Promise<ObjectId[]> {
  const kept: ObjectId[] = [];
  let seen = 0;
  await peer.have((line) => {
    const [oid = ""] = line.split(" ", 1);
    if (!isObjectId(oid)) return; // have-well-formed is about that
    const at = seen < SAMPLED ? seen : Math.floor(Math.random() * (seen + 1));
    if (at < SAMPLED) kept[at] = oid;
    seen += 1;
  });
  return kept;
}

async function mustHold(peer: Peer, oid: ObjectId): Promise<void> {
  const { status, content } = await peer.get(oid);
  expect(status === "success", `have names ${oid}, and its get is answered status=${status}`);
  if (content === undefined) fail(`have names ${oid}, and its get brings nothing`);
  const found = hashObject("blob", content, algorithmOf(oid));
  expect(found === oid, `have names ${oid}, and its get brings bytes that hash to ${found}`);
}
