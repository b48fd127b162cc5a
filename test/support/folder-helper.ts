// A helper over a folder, in a process of its own: `folder-helper <folder> [<instruction> …]`.
import { serveProcess, serveScript } from "../../protocol/index.js";
import { folderHandler } from "./folder-handler.js";

const [folder = "", ...argv] = process.argv.slice(2);
const ends = { input: process.stdin, output: process.stdout, stderr: process.stderr };
const get = process.env.HELPER_GET as "git" | "raw" | "direct" | undefined;
if (argv.length > 0) {
  void serveScript(folderHandler(folder), argv, { ...ends, get }).then((code) => {
    process.exitCode = code;
  });
} else {
  void serveProcess(folderHandler(folder), { ...ends, get }).catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 128;
  });
}
