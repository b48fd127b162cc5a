/** The promisor remote by which a stock git asks an ODB: its name, its URL, and its settings (gitremote-helpers(7)). */

import { parseBucketUrl } from "../bucket/url.js";
import { OdbError } from "../errors.js";
import {
  type ConfigEntry,
  parseConfigBoolean,
  readConfig,
  removeConfigSection,
  setConfig,
} from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import type { OdbConfig } from "./config.js";
import { isOdbName, parseOdbName } from "./name.js";

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

/** What a remote's URL means: a bucket, or an ODB of the repository with all its settings. */
export type RemoteAddress = { readonly bucket: string } | { readonly odb: string };

/**
 * Reads a remote's URL as git hands it to `git-remote-odb`: of `odb::<bucket-url>` what is behind the colons;
 * `odb://s3/<bucket>/<prefix>` is S3, and any other `odb://<host>/<path>` is `https://<host>/<path>`; `odb::odb:<name>`
 * is the ODB that the repository has under this name.
 *
 * @throws OdbError invalid
 */
export function parseRemoteAddress(address: string): RemoteAddress {
  const url = address.startsWith("odb::") ? address.slice("odb::".length) : address;
  const [, host, path = ""] = /^odb:\/\/([^/?#]*)(.*)$/s.exec(url) ?? [];
  if (host === undefined) {
    const name = url.startsWith("odb:") ? url.slice("odb:".length) : undefined;
    return name === undefined ? bucketAt(url) : { odb: parseOdbName(name) };
  }
  if (host === "") {
    throw new OdbError("invalid", `${url}: expected odb://<host>/<path> or odb://s3/<bucket>/<prefix>`);
  }
  return bucketAt(host === "s3" ? `s3:/${path}` : `https://${host}${path}`);
}

/** What {@link configurePromisor} did beyond the settings of the remote. */
export interface PromisorSetup {
  /** Another promisor that git would have asked first; it is asked last now. */
  readonly asksLast?: string;
  /** The remote was there and is somebody else's: nothing was written. */
  readonly taken?: string;
}

/**
 * Makes an ODB a promisor remote of the repository. A git that knows no promisors (the reference client) passes these
 * settings over, so they are written whatever git is at hand.
 *
 * - `skipFetchAll`, `skipDefaultUpdate`: `git fetch --all` and `git remote update` leave it alone; it has no refs
 * - `partialCloneFilter`: git's first lazy fetch would write it
 *
 * @param config the ODB's settings: with one URL and nothing else to know, the remote has that URL, which spares each
 *   lazy fetch a git process
 */
export async function configurePromisor(repo: Repository, config: OdbConfig): Promise<PromisorSetup> {
  const remote = promisorRemoteName(config.name);
  const entries = await readConfig(repo);
  const present = lastValue(entries, `remote.${remote}.url`);
  if (present !== undefined && !present.startsWith("odb:")) return { taken: remote };
  const [first, ...more] = config.urls;
  const isUsual = config.concurrency === undefined && config.timeout === undefined;
  const simple = first !== undefined && more.length === 0 && isUsual;
  const settings = {
    url: remoteUrlOf(simple ? first : `odb:${config.name}`),
    promisor: "true",
    partialclonefilter: "blob:none",
    skipFetchAll: "true",
    skipDefaultUpdate: "true",
  };
  for (const [key, value] of Object.entries(settings)) {
    if (lastValue(entries, `remote.${remote}.${key.toLowerCase()}`) === value) continue;
    await setConfig(repo, `remote.${remote}.${key}`, value);
  }
  const earlier = promisorsBefore(entries, remote)[0];
  if (earlier === undefined || lastValue(entries, PARTIAL_CLONE) !== undefined) return {};
  await setConfig(repo, "extensions.partialClone", earlier);
  return { asksLast: earlier };
}

/**
 * Whether this is a submodule in which git would not start our helper: what works in a submodule on behalf of the
 * repository above it sets GIT_PROTOCOL_FROM_USER=0, and then `protocol.odb.allow` must be `always` (git-config(1)).
 */
export async function isRefusedInSubmodule(repo: Repository): Promise<boolean> {
  const above = await repo.text(["rev-parse", "--show-superproject-working-tree"]);
  if (above === "") return false;
  const entries = await readConfig(repo);
  const policy = lastValue(entries, "protocol.odb.allow") ?? lastValue(entries, "protocol.allow");
  return policy !== "always";
}

/** Takes the remote of an ODB away. @returns whether it was there */
export async function unconfigurePromisor(repo: Repository, name: string): Promise<boolean> {
  const section = `remote.${promisorRemoteName(name)}`;
  const url = lastValue(await readConfig(repo), `${section}.url`);
  return url?.startsWith("odb:") === true && (await removeConfigSection(repo, section));
}

/** The remotes that git takes for promisors, in the order in which it asks them, but for `extensions.partialClone`. */
export function promisorRemotes(entries: readonly ConfigEntry[]): string[] {
  const found = new Map<string, boolean>();
  for (const { key, value } of entries) {
    const [, remote, setting] = /^remote\.(.*)\.(promisor|partialclonefilter)$/s.exec(key) ?? [];
    if (remote === undefined) continue;
    if (setting === "promisor")
      found.set(remote, parseConfigBoolean(key, value) || found.get(remote) === true);
    else found.set(remote, true);
  }
  return [...found].flatMap(([remote, promisor]) => (promisor ? [remote] : []));
}

/** Whether this is a remote that {@link configurePromisor} writes. */
export function isOdbRemote(remote: string): boolean {
  return remote.startsWith("odb-") && isOdbName(remote.slice("odb-".length));
}

/** The remotes that are repositories in buckets (`odb::<bucket-url>`), with their URLs: their big files need no ODB. */
export function bucketRemotes(entries: readonly ConfigEntry[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { key, value } of entries) {
    const remote = /^remote\.(.*)\.url$/s.exec(key)?.[1];
    if (remote === undefined || isOdbRemote(remote) || !/^odb:(?::|\/\/)/.test(value ?? "")) continue;
    found.set(remote, value ?? "");
  }
  return found;
}

const PARTIAL_CLONE = "extensions.partialclone";

/** Promisors of others that come before ours in the config. */
function promisorsBefore(entries: readonly ConfigEntry[], remote: string): string[] {
  const all = promisorRemotes(entries);
  const at = all.indexOf(remote);
  return (at < 0 ? all : all.slice(0, at)).filter((each) => !isOdbRemote(each));
}

function lastValue(entries: readonly ConfigEntry[], key: string): string | undefined {
  return entries.findLast((entry) => entry.key === key)?.value;
}

function bucketAt(url: string): RemoteAddress {
  parseBucketUrl(url);
  return { bucket: url };
}
