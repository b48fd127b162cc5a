/** The command line of a helper: `--name <name> [<url>] [<instruction> …]`. */

import { instructions } from "../protocol/index.js";
import { OdbError } from "../src/errors.js";
import { parseOdbName } from "../src/odb/name.js";

/** A command line, understood. */
export interface HelperArguments {
  readonly help: boolean;
  readonly name: string;
  /** Instead of `odb.<name>.url`. */
  readonly url?: string;
  /** The instruction and its arguments; empty for subprocess mode. */
  readonly instruction: readonly string[];
}

/**
 * A word with a `/` or a `:` in it, or `.`, is a URL or a path; anything else an instruction, which git appends.
 *
 * @throws OdbError invalid
 */
export function parseHelperArguments(argv: readonly string[]): HelperArguments {
  const rest = [...argv];
  let name: string | undefined;
  let url: string | undefined;
  for (let word = rest[0]; word !== undefined; word = rest[0]) {
    if (word === "-h" || word === "--help") return { help: true, name: "", instruction: [] };
    if (word === "--name") name = rest.splice(0, 2)[1];
    else if (word.startsWith("--name=")) name = rest.shift()?.slice("--name=".length);
    else if (url === undefined && /[/:]|^\.$/.test(word)) url = rest.shift();
    else break;
  }
  const [instruction] = rest;
  if (instruction !== undefined && !instructions.has(instruction)) {
    const shown = JSON.stringify(instruction.slice(0, 80));
    throw new OdbError(
      "invalid",
      `${shown} is no instruction: expected one of ${[...instructions].join(", ")}`,
    );
  }
  if (name === undefined) throw new OdbError("invalid", "--name <name> is missing: the name of the ODB");
  return { help: false, name: parseOdbName(name), ...(url !== undefined && { url }), instruction: rest };
}

/** What `-h` prints. */
export function helperUsage(command: string, urls: string): string {
  return `usage: ${command} --name <name> [<url>]                    subprocess mode: git speaks on stdin, stdout
   or: ${command} --name <name> [<url>] <instruction> ...   script mode

    <name>   the ODB's name in the config: odb.<name>.*
    <url>    ${urls}; default: odb.<name>.url

instructions: init, have, get_git_obj <oid>, get_raw_obj <oid>, get_direct <oid>,
              put_raw_obj <oid> <size> <type> (the content on stdin)

git starts it: git config odb.<name>.subprocessCommand "${command} --name <name>"
GIT_ODB_TRACE=1 shows the packets on stderr, GIT_ODB_TRACE=/absolute/path appends them to that file.
`;
}
