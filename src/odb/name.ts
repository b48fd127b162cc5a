/** Names of ODBs: they become config keys, ref names, folders and command lines, so they are checked wherever one enters. */

import { OdbError } from "../errors.js";

const pattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** What `git check-attr` prints for an attribute without a value: no ODB of such a name could be told from it. */
const reserved: ReadonlySet<string> = new Set(["set", "unset", "unspecified"]);

/** Whether `text` may name an ODB. Names are case-sensitive. */
export function isOdbName(text: string): boolean {
  return pattern.test(text) && !reserved.has(text);
}

/** @throws OdbError invalid, when `text` cannot be the name of an ODB */
export function parseOdbName(text: string): string {
  if (isOdbName(text)) return text;
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  if (reserved.has(text)) {
    throw new OdbError(
      "invalid",
      `${shown} cannot name an ODB: git prints this word for an attribute without a value`,
    );
  }
  throw new OdbError(
    "invalid",
    `${shown} is no ODB name: use 1 to 64 letters, digits, "-" or "_", the first a letter or digit`,
  );
}
