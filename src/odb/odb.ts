/** The working of an {@link Odb}: store first, then journal, then refs. */

import type { CallOptions } from "../bucket/bucket.js";
import { OdbError, toOdbError } from "../errors.js";
import type { Content, SourceObject } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { gitCredentials } from "../repo/credential.js";
import type { Repository } from "../repo/git.js";
import { writeLoose } from "../repo/loose-writer.js";
import { asLoose } from "../store/encoding.js";
import { openStore } from "../store/open.js";
import { stage, stagingFor } from "../store/stage.js";
import type { ObjectStore, StoredObject } from "../store/store.js";
import type { OdbConfig } from "./config.js";
import { readConfirmed, removeConfirmed } from "./confirmed.js";
import { flushJournals } from "./flush.js";
import { confirmCandidates } from "./have.js";
import { type Journal, type JournalFile, openJournal, readJournals } from "./journal.js";
import { keepObject, stageToKeep } from "./keep.js";
import { readQueue } from "./queue.js";
import { listMetadataRefs } from "./refs.js";
import { sendQueue } from "./send-queue.js";
import type { InstallOptions, Odb, OpenOdbOptions, PutOutcome, SendReport } from "./session.js";
import { stateDirectory, storeKey } from "./state.js";

/** Made by `openOdb`. */
export class OdbSession implements Odb {
  readonly repo: Repository;
  readonly config: OdbConfig;
  readonly urls: readonly string[];
  readonly directory: string;
  readonly #key: string;
  readonly #options: OpenOdbOptions;
  readonly #journal: Journal;
  #store: Promise<ObjectStore> | undefined;

  constructor(repo: Repository, config: OdbConfig, urls: readonly string[], options: OpenOdbOptions) {
    this.repo = repo;
    this.config = config;
    this.urls = urls;
    this.directory = stateDirectory(repo, config.name);
    this.#key = storeKey(urls);
    this.#options = options;
    this.#journal = openJournal(this.directory, this.#key);
  }

  get name(): string {
    return this.config.name;
  }

  store(): Promise<ObjectStore> {
    if (this.#store === undefined) {
      this.#store = this.#open();
      // A failure is not remembered: the next call tries again.
      this.#store.catch(() => {
        this.#store = undefined;
      });
    }
    return this.#store;
  }

  async stat(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined> {
    const info = await (await this.store()).stat(oid, options);
    if (info === undefined) await this.#missed(oid);
    return info;
  }

  async get(oid: ObjectId, options?: CallOptions): Promise<StoredObject | undefined> {
    const stored = await (await this.store()).get(oid, options);
    if (stored === undefined) await this.#missed(oid);
    return stored;
  }

  async install(oid: ObjectId, options?: InstallOptions): Promise<boolean> {
    const stored = await this.get(oid, options);
    if (stored === undefined) return false;
    const content = options?.onBytes ? told(stored.content, options.onBytes) : stored.content;
    await writeLoose(this.repo.objectsDir, oid, asLoose({ ...stored, content }));
    return true;
  }

  async put(info: ObjectInfo, content: Content, options?: CallOptions): Promise<void> {
    const store = await this.store();
    await using staged = await stage(info, content, stagingFor(store));
    await this.#putStaged(store, staged, options);
  }

  async claim(oid: ObjectId, options?: CallOptions): Promise<ObjectInfo | undefined> {
    const info = await (await this.store()).verify(oid, options);
    if (info !== undefined) await this.#journal.append(info);
    return info;
  }

  async putOrQueue(info: ObjectInfo, content: Content, options?: CallOptions): Promise<PutOutcome> {
    await using staged = await stageToKeep(this.repo, this.name, info, content);
    try {
      await this.#putStaged(await this.store(), staged, options);
      return { state: "stored" };
    } catch (error) {
      const why = toOdbError(error);
      await keepObject(this.repo, this.name, staged, why);
      return { state: "queued", why };
    }
  }

  async *have(options: CallOptions = {}): AsyncGenerator<ObjectInfo> {
    for await (const infos of this.haveAtOnce(options)) yield* infos;
  }

  async *haveAtOnce(options: CallOptions = {}): AsyncGenerator<readonly ObjectInfo[]> {
    const journals = await readJournals(this.directory);
    if (journals.some(({ path }) => path !== this.#journal.path)) {
      // A git that was killed, or the one whose hook runs us, has written no refs yet.
      await this.flush().catch((error: unknown) => this.#warn(toOdbError(error).message));
    }
    const named = this.#named(journals);
    const listing = listMetadataRefs(
      this.repo,
      this.name,
      named.then(
        ({ confirmed, queued }) =>
          (oid) =>
            confirmed.has(oid) || queued.has(oid),
      ),
    );
    listing.catch(() => {});
    const known = await named;
    yield [...known.confirmed.values()];
    const candidates = await listing;
    const seen = await confirmCandidates(
      {
        repo: this.repo,
        name: this.name,
        dir: this.directory,
        key: this.#key,
        openStore: () => this.store(),
        warn: (line) => this.#warn(line),
      },
      candidates,
      options,
    );
    yield seen;
    if (process.env.GIT_QUARANTINE_PATH) {
      for (const info of seen) known.confirmed.set(info.oid, info);
      for await (const info of this.#listed(known, options)) yield [info];
    }
  }

  /**
   * While git receives a push, its metadata refs are not there yet, but the objects of its commits must be known: what
   * a listing of the store shows. Not remembered, since no metadata has confirmed it.
   */
  async *#listed(
    known: { confirmed: ReadonlyMap<ObjectId, ObjectInfo>; queued: ReadonlySet<ObjectId> },
    options: CallOptions,
  ): AsyncGenerator<ObjectInfo> {
    for await (const info of (await this.store()).list(options)) {
      if (!known.confirmed.has(info.oid) && !known.queued.has(info.oid)) yield info;
    }
  }

  /** What was put or seen in the store. What waits for the store is not in it, whatever an earlier time has seen. */
  async #named(journals: readonly JournalFile[]) {
    const confirmed = await readConfirmed(this.directory, this.#key);
    for (const { store, infos } of journals) {
      if (store === this.#key) for (const info of infos) confirmed.set(info.oid, info);
    }
    const queued = new Set((await this.queued()).map(({ oid }) => oid));
    for (const oid of queued) confirmed.delete(oid);
    return { confirmed, queued };
  }

  queued(): Promise<ObjectInfo[]> {
    return readQueue(this.directory);
  }

  sendQueued(options?: CallOptions): Promise<SendReport> {
    return sendQueue(this, options);
  }

  async forget(infos: readonly ObjectInfo[]): Promise<void> {
    await removeConfirmed(this.directory, this.#key, infos);
  }

  flush(): Promise<void> {
    const place = { repo: this.repo, name: this.name, dir: this.directory, key: this.#key };
    return flushJournals(place, this.#journal);
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#journal.close();
      const store = this.#store;
      this.#store = undefined;
      await (await store?.catch(() => undefined))?.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(): Promise<ObjectStore> {
    const [first, ...more] = this.urls;
    if (first === undefined) {
      throw new OdbError(
        "config",
        `ODB "${this.name}" has no URL: set odb.${this.name}.url, or run "git odb init ${this.name} <url>"`,
      );
    }
    if (this.#options.openStore !== undefined) return this.#options.openStore([first, ...more], this.config);
    const { write, concurrency, timeout } = this.config;
    return openStore([first, ...more], {
      hash: this.repo.hash,
      write,
      credentials: gitCredentials(this.repo),
      ...(concurrency !== undefined && { concurrency }),
      ...(timeout !== undefined && { idleMs: timeout * 1000 }),
      ...this.#options.bucket,
    });
  }

  async #putStaged(store: ObjectStore, staged: SourceObject, options?: CallOptions): Promise<void> {
    await store.put(staged, options);
    await this.#journal.append(staged.info);
  }

  /** An object that was confirmed and is gone must not be named again. */
  async #missed(oid: ObjectId): Promise<void> {
    const info = (await readConfirmed(this.directory, this.#key)).get(oid);
    if (info === undefined) return;
    await this.forget([info]).catch((error: unknown) => this.#warn(toOdbError(error).message));
    this.#warn(`object ${oid} was in the store of ODB "${this.name}" and is there no more: put it again`);
  }

  #warn(line: string): void {
    this.#options.warn?.(line);
  }
}

async function* told(content: Content, onBytes: (bytes: number) => void): Content {
  for await (const chunk of content) {
    onBytes(chunk.length);
    yield chunk;
  }
}
