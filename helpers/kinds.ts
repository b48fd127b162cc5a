/** The helpers by the stores that they serve. */

import { OdbError } from "../src/errors.js";

/** What one helper differs in from the others. */
export interface HelperKind {
  /** Its file name. */
  readonly command: string;
  /** The schemes of its URLs; `file` takes plain paths too. None: it needs no URL. */
  readonly schemes: readonly string[];
  /** For `-h`: what a URL looks like. */
  readonly urls: string;
}

/** Objects in a folder. */
export const fileHelper: HelperKind = {
  command: "git-odb-helper-file",
  schemes: ["file"],
  urls: "file:///folder, or a path",
};

/** Objects behind HTTP, on `git odb serve`, a list/upload server or a plain web server. */
export const httpHelper: HelperKind = {
  command: "git-odb-helper-http",
  schemes: ["http", "https"],
  urls: "http(s)://host/path, ?layout=list for a list/upload server",
};

/** Objects in S3. */
export const s3Helper: HelperKind = {
  command: "git-odb-helper-s3",
  schemes: ["s3"],
  urls: "s3://bucket/prefix?endpoint=...&region=...",
};

/** @throws OdbError config, when the store is one of another helper's */
export function checkScheme(kind: HelperKind, name: string, urls: readonly string[]): void {
  const [url] = urls;
  if (url === undefined || kind.schemes.length === 0) return;
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(url)?.[1]?.toLowerCase() ?? "file";
  if (kind.schemes.includes(scheme)) return;
  const right = scheme === "https" ? "http" : scheme;
  throw new OdbError(
    "config",
    `ODB "${name}" has a ${scheme} URL, which this helper does not serve: use git-odb-helper-${right} --name ${name}`,
  );
}
