/** What `have` must keep to: called in the process, with no wire in between. */

import type { OdbHandler } from "../../protocol/handler.js";
import type { ContractCase } from "./contract.js";
import { expect } from "./expect.js";
import { type HandlerSubject, named, putBlob, randomBlob, session } from "./handler-subject.js";

/** So many of the objects that `have` names are got; all of them when there are no more. */
const SAMPLED = 20;

/** `have`. */
export const haves: readonly ContractCase<HandlerSubject>[] = [
  {
    name: "have-after-put",
    needs: ["have", "put"],
    why: "an object that have does not name is missing to git, and one of another size is thrown away by it",
    async run(subject) {
      const { info, bytes } = randomBlob(subject, 321);
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
