/** What is in the bytes of an answer, in either mode. */

import { OdbError } from "../errors.js";
import { collect, contentOf } from "../object/content.js";
import { decodeLoose } from "../object/loose.js";
import { fail } from "./expect.js";
import { CONTENT_LIMIT } from "./helper-peer.js";

/** Inflates a loose blob, checking that it is one. @throws AssertionError when it is not */
export async function inflated(loose: Buffer): Promise<Buffer> {
  try {
    const { header, content } = await decodeLoose(contentOf(loose), "the loose object");
    const bytes = await collect(content, CONTENT_LIMIT);
    return header.type === "blob" ? bytes : fail(`the loose object is a ${header.type}, not a blob`);
  } catch (error) {
    if (error instanceof OdbError) fail(error.message);
    throw error;
  }
}

/** Hands over the lines in one packet (or, in script mode, in all of stdout); the last one needs no LF. */
export function visitLines(bytes: Buffer, visit: (line: string) => void): void {
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    visit(bytes.toString("latin1", start, end));
    start = end + 1;
  }
  if (start < bytes.length) visit(bytes.toString("latin1", start));
}

/** The last `status=` line wins; none at all is the empty status. */
export function lastStatus(lines: readonly string[]): string {
  const line = lines.findLast((one) => one.startsWith("status="));
  return line === undefined ? "" : line.slice("status=".length);
}
