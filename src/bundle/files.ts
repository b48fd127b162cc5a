/** Where bundles and their tables lie in a bucket. */

import { OdbError } from "../errors.js";

/** What leaves out blobs of a chain: nothing else is offered, since chains must never be mixed. */
export type BundleFilter = "blob:none";

/** Keys below the bucket's own prefix: full chains at its top, filtered ones in a folder of their own. */
export function chainFolder(filter?: BundleFilter): string {
  return filter === undefined ? "" : "filter-blob-none/";
}

/** The table of contents, the one truth of a chain. */
export const tableName = "bundles.json";

/** git's own list, made from it. */
export const listName = "bundle-list";

/** What marks that a bundle is in no table any more: `expired/<file>`, with the second since which. */
export const expiredFolder = "expired/";

/** A bundle's file name; `id` makes it one that no other run writes. */
export function bundleName(timestamp: number, id: string): string {
  return `bundle-${timestamp}-${id}.bundle`;
}

/** Whether {@link bundleName} made it. */
export function isBundleName(name: string): boolean {
  return /^bundle-[0-9]{1,15}-[0-9a-f]{16}\.bundle$/.test(name);
}

/**
 * The file that a table of ours means by this URI.
 *
 * @throws OdbError conflict, when the table is not one of ours
 */
export function nameInTable(uri: string, table: string): string {
  const name = uri.slice(uri.lastIndexOf("/") + 1);
  if (isBundleName(name)) return name;
  throw new OdbError(
    "conflict",
    `${table} lists ${uri}, which git odb bundle did not make: use another folder`,
  );
}

/** @throws OdbError invalid, unless it is blob:none */
export function parseFilter(text: string | undefined): BundleFilter | undefined {
  if (text === undefined || text === "blob:none") return text;
  throw new OdbError("invalid", `--filter=${text}: bundles are made full, or with blob:none`);
}

/** Where readers GET the chain: without a final `/`. @throws OdbError invalid */
export function parseBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new OdbError("invalid", `--base-url=${text}: expected an absolute http:// or https:// URL`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new OdbError(
      "invalid",
      `--base-url: ${url.host} with a user name, password, ? or #: leave these out`,
    );
  }
  return url.href.replace(/\/+$/, "");
}
