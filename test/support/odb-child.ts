/** A process of its own that uses an ODB: `odb-child <repository> <step>…`, steps in order. */

import { contentOf, hashObject } from "../../src/object/content.js";
import { openOdb } from "../../src/odb/session.js";
import { openRepository } from "../../src/repo/git.js";

const [, , dir = ".", ...steps] = process.argv;

async function main() {
  const odb = await openOdb(await openRepository(dir), "magic");
  for (const step of steps) {
    const [verb, text = ""] = step.split("=");
    if (verb === "put") {
      const bytes = Buffer.from(text);
      const info = { oid: hashObject("blob", bytes), size: bytes.length, type: "blob" } as const;
      await odb.put(info, contentOf(bytes));
    } else if (verb === "have") {
      for await (const { oid } of odb.have()) console.log(oid);
    } else if (verb === "close") {
      await odb.close();
    } else if (verb === "die") {
      process.kill(process.pid, "SIGKILL");
    }
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
