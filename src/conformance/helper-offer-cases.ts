/** Cases about what a helper offers. */

import { expect } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { gets } from "./helper-peer.js";
import { SkipCase } from "./run.js";

/** The first case: nothing else is worth running when it fails. */
export const FIRST_CASE = "starts";

/** Cases for both modes. */
export const offerCases: readonly HelperCase[] = [
  {
    name: FIRST_CASE,
    why: "git starts the command by the shell; a helper that ends, hangs or prints something else there is no helper",
    async run(lab) {
      await lab.shared();
    },
  },
  {
    name: "one-get",
    why: "offered two gets, git asks for one and parses the answer as the other; offered none, what was put is lost to it",
    async run(lab) {
      const { offers } = await lab.shared();
      const offered = gets.filter((get) => offers.includes(get));
      expect(offered.length <= 1, `${offered.join(" and ")} are offered: offer exactly one get`);
      expect(offered.length === 1 || !offers.includes("put_raw_obj"), "put_raw_obj is offered, but no get");
    },
  },
  {
    name: "have-offered",
    why: "without have, every existence check of git is a get, with a false warning; in script mode no get is ever made",
    async run(lab) {
      const { offers } = await lab.shared();
      if (offers.includes("get_direct")) throw new SkipCase("see direct-needs-have");
      expect(offers.includes("have"), "have is not offered");
    },
  },
  {
    name: "direct-needs-have",
    needs: ["get_direct"],
    why: "with get_direct and no have git believes that it has everything: git add of an unmarked file stores nothing, exit 0",
    async run(lab) {
      const { offers } = await lab.shared();
      expect(offers.includes("have"), "get_direct is offered without have");
    },
  },
];
