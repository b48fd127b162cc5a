/** A store's URL as a user types it, made fit for a config that is read from any folder. */

import { pathToFileURL } from "node:url";
import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import type { HelperKind } from "./setup.js";

/** A store that a user named. */
export interface NamedStore {
  readonly url: string;
  readonly kind: HelperKind;
  /** Without its query. */
  readonly shown: string;
}

/** @throws OdbError invalid, for what is no bucket URL, or has a user name or password in it */
export function parseStoreUrl(url: string): NamedStore {
  const location = parseBucketUrl(url);
  if (location.kind === "memory") throw new OdbError("invalid", `${url}: a store in memory would not last`);
  if (location.kind !== "file") return { url, kind: location.kind, shown: location.name };
  const { href } = pathToFileURL(location.path);
  const query = location.layout === undefined ? "" : `?layout=${location.layout}`;
  return { url: href + query, kind: "file", shown: href };
}

/** The helpers differ in what they load; each can do what those before it can. */
export function helperKindOf(kinds: readonly HelperKind[]): HelperKind {
  return (["s3", "http"] as const).find((kind) => kinds.includes(kind)) ?? "file";
}
