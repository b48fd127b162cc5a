/** One ODB of a repository, ready to use: its config, its store and its state, for the helpers and the commands. */

import type { CallOptions } from "../bucket/bucket.js";
import type { BucketOptions } from "../bucket/options.js";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { type ConfigEntry, configCommand } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import { openPlainRepository } from "../repo/plain.js";
import { listRefsCommand } from "../repo/update-ref.js";
import type { ObjectStore, StoredObject } from "../store/store.js";
import { absoluteUrl } from "./absolute-url.js";
import { type OdbConfig, readOdbConfig } from "./config.js";
import { parseOdbName } from "./name.js";
import { OdbSession } from "./odb.js";
import { metadataPrefix } from "./refs.js";

/** How to open an ODB. */
export interface OpenOdbOptions {
  /** Instead of `odb.<name>.url`; then the ODB need not be configured. */
  readonly url?: string | readonly string[];
  /** What `readConfig` gave, to save a git process. */
  readonly entries?: readonly ConfigEntry[];
  /** For its buckets; credentials for http(s) come from `git credential` unless given here. */
  readonly bucket?: BucketOptions;
  /** Instead of opening the store that the URLs name. */
  readonly openStore?: (urls: readonly string[], config: OdbConfig) => Promise<ObjectStore>;
  /** Called with one line about what was passed over without being an error. Default: nobody is told. */
  readonly warn?: (line: string) => void;
}

/** What became of a put of script mode. */
export type PutOutcome =
  | { readonly state: "stored" }
  /** The store could not take it: it lies in the repository's own object store, and waits in the queue. */
  | { readonly state: "queued"; readonly why: OdbError };

/** What {@link Odb.sendQueued} did. */
export interface SendReport {
  readonly sent: readonly ObjectInfo[];
  /** Still queued; the first failure of the store ends the sending, a broken local copy is passed over. */
  readonly left: readonly ObjectInfo[];
  /** Queued, but the repository no longer has them; nor does the store. They stay in the queue. */
  readonly lost: readonly ObjectInfo[];
  /** Why some are left. */
  readonly why?: OdbError;
}

/** Options of {@link Odb.install}. */
export interface InstallOptions extends CallOptions {
  /** Told of bytes as they come from the store, for progress. */
  readonly onBytes?: (bytes: number) => void;
}

/** One ODB. Absent is `undefined`; failures are OdbErrors as of ObjectStore. */
export interface Odb extends AsyncDisposable {
  readonly name: string;
  readonly repo: Repository;
  readonly config: OdbConfig;
  /** Its URLs, paths made absolute. */
  readonly urls: readonly string[];
  /** `<git-common-dir>/odb/<name>`. */
  readonly directory: string;

  /** The store, opened on the first call. @throws OdbError config, when no URL is set */
  store(): Promise<ObjectStore>;
  /** What turns out to be there no more is forgotten, so that `have` does not name it again. */
  stat(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined>;
  /** As `stat`. Not verified yet: `asRaw` and `asLoose` verify while they pass it on. */
  get(oid: ObjectId, options?: CallOptions): Promise<StoredObject | undefined>;
  /** Puts the object into the repository's own object store. @returns false when the store does not have it */
  install(oid: ObjectId, options?: InstallOptions): Promise<boolean>;

  /**
   * Takes an object: when it resolves, the object is verified and durable in the store, and the journal says so. Its
   * metadata ref is written by `flush`. May be called in parallel: puts share the journal's syncs.
   *
   * @throws OdbError; then nothing was stored, or only in the store, and the caller keeps its copy
   */
  put(info: ObjectInfo, content: Content, options?: CallOptions): Promise<void>;
  /**
   * Takes note of an object that somebody else put: proved to be in the store, it counts as put by this clone, and its
   * metadata ref is written by `flush`. @returns undefined when the store does not have it
   */
  claim(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined>;
  /**
   * Takes an object and never leaves it nowhere, for a git that ignores failures (script mode): what the store cannot
   * take goes into the repository's own object store and the queue.
   *
   * @throws OdbError integrity, when it is not the object (nothing is stored); any other, when it could be kept nowhere
   */
  putOrQueue(info: ObjectInfo, content: Content, options?: CallOptions): Promise<PutOutcome>;

  /**
   * Every object that may be named to git: confirmed ones only. Metadata refs not seen before are looked up in the
   * store first; when it cannot be asked, the confirmed ones come, then the error.
   */
  have(options?: CallOptions): AsyncIterable<ObjectInfo>;
  /** As {@link have}, many at a time: 100,000 one by one take 100 ms. */
  haveAtOnce(options?: CallOptions): AsyncIterable<readonly ObjectInfo[]>;
  /** What waits for the store. */
  queued(): Promise<ObjectInfo[]>;
  /** Sends what waits, writes the refs. */
  sendQueued(options?: CallOptions): Promise<SendReport>;
  /** Marks that these objects are not in the store after all, so that `have` asks again. */
  forget(infos: readonly ObjectInfo[]): Promise<void>;

  /**
   * Writes the metadata refs of what was put, here and by processes that ended without (SIGKILL), in one transaction.
   *
   * @throws OdbError; the journal stays, and the next start tries again
   */
  flush(): Promise<void>;
  /** `flush`, then ends the store's connections. */
  close(): Promise<void>;
}

/**
 * Opens an ODB. Only the config is read: the store is opened when it is needed, the state read when asked for.
 *
 * @throws OdbError invalid, for an impossible name; config, when it is not configured and no URL is given
 */
export async function openOdb(repo: Repository, name: string, options: OpenOdbOptions = {}): Promise<Odb> {
  const config = await configOf(repo, parseOdbName(name), options);
  const given = options.url === undefined ? config.urls : [options.url].flat();
  const urls = given.map((url) => absoluteUrl(url, repo));
  return new OdbSession(repo, config, urls, options);
}

/** Options of {@link openOdbHere}. */
export interface OpenOdbHereOptions extends OpenOdbOptions {
  /** `have` comes next: where git has to look for the repository, its refs are listed meanwhile. */
  readonly haveNext?: boolean;
}

/**
 * Finds the repository and opens an ODB of it, for a command that lives for one question: one git is run, or, where the
 * repository is out of the ordinary, those needed run at the same time.
 *
 * @throws OdbError as `openRepository` and {@link openOdb}
 */
export async function openOdbHere(
  name: string,
  options: OpenOdbHereOptions = {},
  cwd: string = process.cwd(),
): Promise<Odb> {
  const plain = openPlainRepository(cwd);
  if (plain !== undefined) return openOdb(plain, name, options);
  const prefix = metadataPrefix(name);
  const ahead = options.haveNext ? [configCommand, listRefsCommand(prefix)] : [configCommand];
  return openOdb(await openRepository(cwd, { ahead }), name, options);
}

async function configOf(repo: Repository, name: string, options: OpenOdbOptions): Promise<OdbConfig> {
  const odbs = await readOdbConfig(repo, options.entries);
  const config = odbs.get(name);
  if (config !== undefined) return config;
  if (options.url !== undefined) return { name, urls: [], get: "git", write: "first", unsafePush: false };
  const known = odbs.size === 0 ? "none is" : `configured: ${[...odbs.keys()].join(", ")}`;
  throw new OdbError(
    "config",
    `ODB "${name}" is not configured (${known}): run "git odb init ${name} <url>"`,
  );
}
