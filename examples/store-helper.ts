/**
 * A helper in TypeScript on the library, for both modes: `store-helper <bucket URL> [instruction…]`.
 * In a project of your own import from "git-odb/protocol" and "git-odb/store".
 */

import { type OdbHandler, serveProcess, serveScript } from "../protocol/index.js";
import { asLoose } from "../src/store/encoding.js";
import { openStore } from "../src/store/open.js";
import { putContent } from "../src/store/stage.js";

const [url = "", ...instruction] = process.argv.slice(2);
const store = await openStore(url);

const handler: OdbHandler = {
  async getGitObject(oid) {
    const stored = await store.get(oid);
    return stored && asLoose(stored); // verified while it is sent: other bytes end in status=error
  },
  putRawObject: (info, content) => putContent(store, info, content), // verified, then durable, then success
  have: () => store.list(),
  close: () => store.close(),
};

const { stdin: input, stdout: output, stderr } = process;
if (instruction.length === 0) await serveProcess(handler, { input, output });
else process.exitCode = await serveScript(handler, instruction, { input, output, stderr });
