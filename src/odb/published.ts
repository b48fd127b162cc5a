/** Published settings: `refs/odbs/<name>/config`, by which a clone learns where an ODB's store is. */

import { parseBucketUrl } from "../bucket/url.js";
import { OdbError, toOdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import { parseConfigSize } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import { listRefs, updateRefs, writeBlobs } from "../repo/update-ref.js";
import type { OdbConfig } from "./config.js";
import { isOdbName, parseOdbName } from "./name.js";
import { METADATA_LIMIT, metadataPrefix } from "./refs.js";

/** What `refs/odbs/<name>/config` may say: where the objects are and which blobs they are, never a command. */
export interface PublishedSettings {
  readonly name: string;
  /** At least one; several make a tiered store. The layout is in their query. */
  readonly urls: readonly string[];
  /** In bytes: blobs of this size or more belong to the ODB, whatever their path. */
  readonly minSize?: number;
}

/** The ref of an ODB's published settings. */
export function publishedRef(name: string): string {
  return `${metadataPrefix(name)}config`;
}

/**
 * The settings that others may have: those of `config`, or `publicUrl` where others reach the store by another URL.
 *
 * @throws OdbError config, when there is no URL to publish, or one that nobody else can use
 */
export function publishable(config: OdbConfig, publicUrl?: string): PublishedSettings {
  const urls = publicUrl === undefined ? config.urls : [publicUrl];
  if (urls.length === 0) {
    throw new OdbError("config", `ODB "${config.name}" has no URL to publish: set odb.${config.name}.url`);
  }
  for (const url of urls) {
    const location = parseBucketUrl(url);
    if (location.kind === "memory") throw new OdbError("config", `${url}: nobody else can reach this store`);
    if (location.kind === "s3" && location.s3.profile !== undefined) {
      throw new OdbError(
        "config",
        `${location.name}: profile=${location.s3.profile} is a name of yours alone: publish it without, by --public-url=<url>`,
      );
    }
  }
  return { name: config.name, urls, ...(config.minSize !== undefined && { minSize: config.minSize }) };
}

/**
 * Writes the settings to their ref, in this repository; a push takes them to others.
 *
 * @returns false when the ref says so already
 * @throws OdbError invalid, when they are larger than {@link METADATA_LIMIT} bytes
 */
export async function publish(repo: Repository, settings: PublishedSettings): Promise<boolean> {
  const content = formatPublished(settings);
  if (content.length > METADATA_LIMIT) {
    throw new OdbError(
      "invalid",
      `the settings of ODB "${settings.name}" are larger than ${METADATA_LIMIT} bytes`,
    );
  }
  const [oid] = (await writeBlobs(repo, [content])) as [ObjectId];
  const ref = publishedRef(settings.name);
  const [present] = await listRefs(repo, ref);
  if (present?.oid === oid) return false;
  await updateRefs(repo, [{ ref, oid, old: present?.oid ?? null }]);
  return true;
}

/** The bytes of the blob, in the syntax of git-config(1). */
export function formatPublished({ name, urls, minSize }: PublishedSettings): Buffer {
  const lines = [`[odb "${parseOdbName(name)}"]`];
  for (const url of urls) lines.push(`\turl = ${quote(url)}`);
  if (minSize !== undefined) lines.push(`\tminSize = ${minSize}`);
  return Buffer.from(`${lines.join("\n")}\n`);
}

/** The names of the ODBs that the refs of this repository tell of, published settings or not, sorted. */
export async function knownOdbs(repo: Repository): Promise<string[]> {
  const names = new Set<string>();
  for await (const ref of repo.runLines(["for-each-ref", "--format=%(refname)", "refs/odbs/"])) {
    const name = ref.split("/", 3)[2] ?? "";
    if (isOdbName(name)) names.add(name);
  }
  return [...names].sort();
}

/**
 * Reads what is published of an ODB. It comes from a remote: nothing is done with it but parsing, by git itself.
 *
 * @returns undefined when nothing is published
 * @throws OdbError invalid, naming what is wrong: too large, no config, another key than url, layout and minSize
 */
export async function readPublished(repo: Repository, name: string): Promise<PublishedSettings | undefined> {
  const ref = publishedRef(name);
  const [found] = await listRefs(repo, ref);
  if (found === undefined) return undefined;
  const { stdout } = await repo.run(["cat-file", "--batch-check"], { input: `${found.oid}\n` });
  const [oid = "", type, size] = stdout.toString().trim().split(" ");
  if (!isObjectId(oid) || type !== "blob") throw refused(ref, "it is no blob that is here");
  if (Number(size) > METADATA_LIMIT) throw refused(ref, `it is larger than ${METADATA_LIMIT} bytes`);
  // Without includes: a file of this machine must not become part of it.
  const list = await repo
    .text(["config", "--no-includes", "--blob", oid, "-z", "--list"])
    .catch((error: OdbError) => {
      throw refused(ref, `git cannot read it as a config (${error.message})`);
    });
  return parseEntries(name, ref, list);
}

function parseEntries(name: string, ref: string, list: string): PublishedSettings {
  const found: { urls: string[]; layout?: string; minSize?: number } = { urls: [] };
  const prefix = `odb.${parseOdbName(name)}.`;
  for (const entry of list.split("\0").filter((text) => text !== "")) {
    const cut = entry.indexOf("\n");
    const key = cut < 0 ? entry : entry.slice(0, cut);
    const value = cut < 0 ? "" : entry.slice(cut + 1);
    if (key === `${prefix}url`) found.urls.push(value);
    else if (key === `${prefix}layout`) found.layout = value;
    else if (key === `${prefix}minsize`) found.minSize = parseMinSize(key, value, ref);
    else throw refused(ref, `${JSON.stringify(key)} may not be published (only url, layout and minSize)`);
  }
  if (found.urls.length === 0) throw refused(ref, `it has no ${prefix}url`);
  const urls = found.urls.map((url) => withLayout(url, found.layout));
  return { name, urls, ...(found.minSize !== undefined && { minSize: found.minSize }) };
}

function parseMinSize(key: string, value: string, ref: string): number {
  try {
    return parseConfigSize(key, value);
  } catch (error) {
    throw refused(ref, toOdbError(error).message);
  }
}

/** The URL that an ODB's config has, with the layout in its query. @throws OdbError invalid, for what is no bucket URL */
function withLayout(url: string, layout: string | undefined): string {
  const full =
    layout === undefined || parseBucketUrl(url).layout !== undefined
      ? url
      : `${url}${url.includes("?") ? "&" : "?"}layout=${encodeURIComponent(layout)}`;
  parseBucketUrl(full);
  return full;
}

function quote(value: string): string {
  return `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

function refused(ref: string, why: string): OdbError {
  return new OdbError("invalid", `${ref} is refused: ${why}`);
}
