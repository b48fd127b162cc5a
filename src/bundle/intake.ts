/** Bundles on their way into a repository: downloaded in parallel, taken in one by one. */

import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { CredentialProvider } from "../bucket/options.js";
import { isTransient, OdbError, toOdbError } from "../errors.js";
import type { Repository } from "../repo/git.js";
import { download } from "./download.js";
import type { Workplace } from "./state.js";
import type { BundleEntry, BundleTable } from "./table.js";
import { hasPrerequisites, openBundle, unbundle } from "./unbundle.js";

/** Downloads at once. */
const PARALLEL = 4;

/** Tries of one download within a run, and the first pause between them in milliseconds. */
const ATTEMPTS = 4;
const PAUSE_MS = 300;

/** How to fetch. */
export interface FetchOptions {
  /** For the servers of the table and its bundles, each by its own URL. */
  readonly credentials?: CredentialProvider | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of each bundle that could not be used, in a line. */
  readonly warn: (line: string) => void;
  /** Told of bytes as they arrive. */
  readonly onBytes?: (count: number) => void;
}

/** What came of a fetch. */
export interface FetchResult {
  /** Bundles taken in. */
  readonly taken: number;
  /** Bundles that were wanted and could not be used; each was told. */
  readonly failed: number;
}

/** What an intake works with. */
export interface Work {
  readonly repo: Repository;
  readonly workplace: Workplace;
  readonly table: BundleTable;
  readonly isPartial: boolean;
  readonly options: FetchOptions;
}

/** The bundles of one run: which are on their way, in, or refused. Disposing of it ends the downloads. */
export class Intake implements AsyncDisposable {
  readonly #work: Work;
  readonly #done = new Map<string, "taken" | "failed">();
  readonly #downloads = new Map<string, Promise<string>>();
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  #waiting: BundleEntry[] = [];
  #running = 0;

  constructor(work: Work) {
    const { signal } = work.options;
    this.#work = work;
    this.#signal = signal ? AbortSignal.any([signal, this.#ending.signal]) : this.#ending.signal;
  }

  /** Starts to download, as many at once as is right; the others follow. */
  begin(entries: readonly BundleEntry[]): void {
    this.#waiting = [...entries];
    this.#startNext();
  }

  has({ uri }: BundleEntry): boolean {
    return this.#done.get(uri) === "taken";
  }

  result(): FetchResult {
    const states = [...this.#done.values()];
    const count = (state: string) => states.filter((each) => each === state).length;
    return { taken: count("taken"), failed: count("failed") };
  }

  /**
   * Takes one in, and before it what it turns out to need. A bundle's own faults are told, not thrown.
   *
   * @throws OdbError aborted, full
   */
  async take(entry: BundleEntry): Promise<void> {
    if (this.#done.has(entry.uri)) return;
    const { workplace, options } = this.#work;
    try {
      await this.#unbundle(entry);
      this.#done.set(entry.uri, "taken");
    } catch (error) {
      const known = toOdbError(error);
      if (known.code === "aborted" || known.code === "full" || known.code === "bug") throw known;
      this.#done.set(entry.uri, "failed");
      // Of a download that broke off the part stays, to be gone on with.
      if (!isTransient(known)) await rm(workplace.folderOf(entry.uri), { recursive: true, force: true });
      options.warn(`${known.message}; going on without this bundle`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waiting = [];
    this.#ending.abort();
    await Promise.allSettled(this.#downloads.values());
  }

  async #unbundle(entry: BundleEntry): Promise<void> {
    const { repo, workplace, isPartial } = this.#work;
    const path = await (this.#downloads.get(entry.uri) ?? this.#start(entry));
    const bundle = await openBundle(repo, path, entry.uri, isPartial);
    if (!(await hasPrerequisites(repo, bundle))) {
      // The table was rewritten, or what it requires could not be had: all that is left is to look below.
      await this.#takeBelow(entry);
      if (!(await hasPrerequisites(repo, bundle))) {
        throw new OdbError("conflict", `${entry.uri}: it builds on commits that are not here`);
      }
    }
    await unbundle(repo, bundle, entry.uri, this.#signal);
    await rm(workplace.folderOf(entry.uri), { recursive: true, force: true });
  }

  async #takeBelow(entry: BundleEntry): Promise<void> {
    const below = this.#work.table.bundles.find(({ uri }) => uri === entry.requires);
    if (below) await this.take(below);
  }

  #startNext(): void {
    while (this.#running < PARALLEL) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (!this.#downloads.has(next.uri)) void this.#start(next);
    }
  }

  #start(entry: BundleEntry): Promise<string> {
    this.#running++;
    const download = downloadPatiently(entry, this.#work, this.#signal).finally(() => {
      this.#running--;
      this.#startNext();
    });
    this.#downloads.set(entry.uri, download);
    // It is awaited in its turn.
    download.catch(() => {});
    return download;
  }
}

/** Goes on after a failure that may pass, and begins anew once when what had been gone on with was another file. */
async function downloadPatiently(entry: BundleEntry, work: Work, signal: AbortSignal): Promise<string> {
  const { size, sha256, uri } = entry;
  const { credentials, onBytes } = work.options;
  let mayBeginAnew = true;
  for (let attempt = 1; ; attempt++) {
    try {
      return await download(uri, work.workplace.folderOf(uri), {
        size,
        sha256,
        credentials,
        onBytes,
        signal,
      });
    } catch (error) {
      const known = toOdbError(error);
      const isOther = known.code === "integrity" && mayBeginAnew;
      if (isOther) mayBeginAnew = false;
      if (!(isOther || isTransient(known)) || attempt >= ATTEMPTS || signal.aborted) throw known;
      await sleep(Math.max(PAUSE_MS * attempt, known.retryAfterMs ?? 0), undefined, { signal });
    }
  }
}
