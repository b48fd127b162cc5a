/** The URLs that `git odb clone` takes: all that git does, and the buckets that our remote helper reaches. */

import { parseStoreUrl } from "../odb/store-url.js";
import { sourceUrl } from "../repo/clone-source.js";

/**
 * The URL as it is stored in the config: a path made absolute, behind `odb::` as well.
 *
 * @throws OdbError invalid, when it is none, or holds a password
 */
export function cloneUrl(text: string): string {
  return text.startsWith("odb::") ? `odb::${parseStoreUrl(text.slice("odb::".length)).url}` : sourceUrl(text);
}

/** Whether it is a remote of ours, which git reaches by `git-remote-odb`. */
export function isOdbUrl(url: string): boolean {
  return /^odb:(?::|\/\/)/.test(url);
}
