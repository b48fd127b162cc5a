/** URLs of stores as the config has them, made to mean the same from everywhere. */

import { basename, dirname, isAbsolute, join } from "node:path";
import type { Repository } from "../repo/git.js";

/** A relative path in the config means the same from everywhere: it starts at the top of the main work tree. */
export function absoluteUrl(url: string, repo: Repository): string {
  if (isAbsolute(url) || /^[A-Za-z][A-Za-z0-9+.-]+:/.test(url)) return url;
  const top = basename(repo.commonDir) === ".git" ? dirname(repo.commonDir) : repo.commonDir;
  return join(top, url);
}
