/** Lines `<oid> <size> <type>` out of a stream of bytes from a server that we do not trust. */

import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { type ObjectInfo, parseInfo } from "../object/info.js";

/** "<64 hex> 9007199254740991 commit" has 88 characters; no line is longer than this. */
const LINE_LIMIT = 256;

/**
 * Reads a listing line by line; empty lines are left out, the last one may lack its LF.
 *
 * @param where names the listing in errors
 * @throws OdbError protocol, at the first line that is none: another kind of server answers here
 */
export async function* parseListing(content: Content, where: string): AsyncIterable<ObjectInfo> {
  let held = "";
  for await (const chunk of content) {
    const lines = (held + Buffer.from(chunk).toString("latin1")).split("\n");
    held = lines.pop() ?? "";
    if (held.length > LINE_LIMIT) throw notALine(held, where);
    for (const line of lines) if (line !== "") yield parseLine(line, where);
  }
  if (held !== "") yield parseLine(held, where);
}

function parseLine(line: string, where: string): ObjectInfo {
  try {
    return parseInfo(line.replace(/\r$/, ""));
  } catch (error) {
    if (error instanceof OdbError && error.code === "invalid") throw notALine(line, where);
    throw error;
  }
}

function notALine(line: string, where: string): OdbError {
  const shown = JSON.stringify(line.slice(0, 80));
  return new OdbError(
    "protocol",
    `${where}: ${shown} is no "<oid> <size> <type>" line; is layout=list right?`,
  );
}
