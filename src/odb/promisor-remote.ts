/** The promisor remote by which a stock git asks an ODB: its name, its URL, and its settings (docs/stock-git.md). */

import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import { parseOdbName } from "./name.js";

/** The remotes of ODBs begin with this. */
export const promisorRemotePrefix = "odb-";

/** The remote of an ODB: `odb-<name>`. */
export function promisorRemoteName(name: string): string {
  return promisorRemotePrefix + parseOdbName(name);
}

/** The remote's URL for a bucket: `odb::<bucket-url>`. */
export function remoteUrlOf(bucketUrl: string): string {
  return `odb::${bucketUrl}`;
}

/**
 * The bucket that a remote's URL means, as git hands it to `git-remote-odb`: of `odb::<bucket-url>` what is behind the
 * colons; `odb://s3/<bucket>/<prefix>` is S3, and any other `odb://<host>/<path>` is `https://<host>/<path>`.
 *
 * @throws OdbError invalid
 */
export function bucketUrlOf(address: string): string {
  const url = address.startsWith("odb::") ? address.slice("odb::".length) : address;
  const [, host, path = ""] = /^odb:\/\/([^/?#]*)(.*)$/s.exec(url) ?? [];
  if (host === undefined) return checked(url);
  if (host === "")
    throw new OdbError("invalid", `${url}: expected odb://<host>/<path> or odb://s3/<bucket>/<prefix>`);
  return checked(host === "s3" ? `s3:/${path}` : `https://${host}${path}`);
}

function checked(url: string): string {
  parseBucketUrl(url);
  return url;
}
