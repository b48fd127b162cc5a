/** Cases about what that git does not send: the experimental puts, and the read-object hook of other gits. */

import { collect, contentOf } from "../object/content.js";
import { encodeLoose } from "../object/loose.js";
import { expect } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { mustGet, mustLack, mustPut } from "./helper-judge.js";
import { packetsOf, type Sample } from "./helper-peer.js";
import { SkipCase } from "./run.js";

/** Cases for process mode. */
export const otherCases: readonly HelperCase[] = [
  {
    name: "put-git-object",
    needs: ["get", "put_git_obj"],
    why: "put_git_obj is put_raw_obj with the content in loose form: the object in it is checked all the same",
    async run(lab) {
      const session = await lab.sharedSession();
      const [good, other] = [lab.sample(820), lab.sample(820)];
      const lines = ({ oid }: Sample) => [`sha1=${oid}`, "size=820", "kind=blob"];
      const status = await session.commandWith("put_git_obj", lines(good), packetsOf(await loose(good)));
      expect(status === "success", `a good loose object was answered status=${status}, not success`);
      await mustGet(session, good);
      const wrong = await session.commandWith("put_git_obj", lines(other), packetsOf(await loose(good)));
      expect(wrong !== "success", "the loose form of another object was answered status=success");
      await mustLack(session, other.oid, "its put was refused");
    },
  },
  {
    name: "put-direct",
    needs: ["get", "put_direct"],
    why: "put_direct has no content: the helper reads the object from the repository, and says so when it is not there",
    async run(lab) {
      const session = await lab.sharedSession();
      const sample = lab.sample(821);
      const lines = [`sha1=${sample.oid}`, "size=821", "kind=blob"];
      const early = await session.command("put_direct", ...lines);
      expect(early !== "success", "an object that the repository lacks was answered status=success");
      lab.install(sample);
      const status = await session.command("put_direct", ...lines);
      expect(status === "success", `an object of the repository was answered status=${status}, not success`);
      await mustGet(session, sample);
    },
  },
  {
    name: "read-object-hook",
    needs: ["put"],
    why: "the hook's client offers get alone and sends no init; after success it looks into its own object store",
    async run(lab) {
      const sample = lab.sample(822);
      await mustPut(await lab.shared(), sample);
      const session = await lab.session({ offer: ["get"], init: false });
      if (!session.offers.includes("get")) throw new SkipCase("the helper does not offer get");
      const absent = await session.command("get", `sha1=${lab.absentOid()}`);
      expect(absent === "error", `an absent object was answered status=${absent}, not error`);
      const status = await session.command("get", `sha1=${sample.oid}`);
      expect(status === "success", `get was answered status=${status}, not success`);
      const content = await session.installed(sample.oid);
      expect(content?.equals(sample.bytes) === true, "success, but the repository does not have the object");
    },
  },
];

async function loose({ oid, bytes }: Sample): Promise<Buffer> {
  const info = { oid, size: bytes.length, type: "blob" } as const;
  return collect(encodeLoose(info, contentOf(bytes)), 1 << 20);
}
