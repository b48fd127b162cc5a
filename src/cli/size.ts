/** Sizes on the command line, in git's words. */

import { OdbError, toOdbError } from "../errors.js";
import { parseConfigSize } from "../repo/config.js";

/** Bytes of `500k`, `1m`, `2g` or a plain number. @throws OdbError invalid */
export function parseSizeOption(option: string, text: string): number {
  try {
    return parseConfigSize(option, text);
  } catch (error) {
    const message = `${option} ${JSON.stringify(text)} is no size: use bytes, 100k, 8m, 2g`;
    throw new OdbError("invalid", message, { cause: toOdbError(error) });
  }
}
