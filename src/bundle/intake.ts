/** Bundles on their way into a repository: downloaded in parallel, taken in together or one by one. */

import { OdbError, toOdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";
import type { Arrival } from "./arrival.js";
import type { HttpClients } from "./clients.js";
import { Downloads } from "./downloads.js";
import type { BundleEntry, BundleTable } from "./table.js";
import { checkFilter, hasPrerequisites, type OpenBundle, openBundle, unbundle } from "./unbundle.js";
import type { Verdict, Workplace } from "./workplace.js";

/** How to fetch. */
export interface FetchOptions {
  /** For the servers of the table and its bundles. Default: without credentials. */
  readonly clients?: HttpClients | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of each bundle that could not be used, in a line. */
  readonly warn: (line: string) => void;
  /** Told of bytes as they arrive. */
  readonly onBytes?: (count: number) => void;
  /** What else there is to do with the repository's config: it is done while the first bundles arrive. */
  readonly meanwhile?: () => Promise<void>;
  /**
   * What to do with what came of it, while what was downloaded is cleared away.
   *
   * @param marked when the mark is where it belongs, and the repository's config left alone
   */
  readonly afterwards?: (result: FetchResult, marked: Promise<void>) => Promise<void>;
}

/** What came of a fetch. */
export interface FetchResult {
  /** Bundles taken in. */
  readonly taken: number;
  /** Bundles that were wanted and could not be used; each was told. */
  readonly failed: number;
  /** What their refs are: the repository has all that these reach. */
  readonly tips: ReadonlySet<ObjectId>;
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
  readonly #done = new Map<string, "had" | "taken" | "failed">();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #downloads: Downloads;
  readonly #tips = new Set<ObjectId>();
  readonly #newlyTaken: BundleEntry[] = [];

  constructor(work: Work) {
    this.#work = work;
    this.#downloads = new Downloads(work.workplace, work.options);
  }

  /** Starts to download what earlier runs have not judged, as many at once as is right; the others follow. */
  async begin(entries: readonly BundleEntry[]): Promise<void> {
    for (const entry of entries) {
      const verdict = await this.#work.workplace.verdict(entry);
      if (verdict?.kind === "taken") this.#done.set(entry.uri, "had");
      else if (verdict !== undefined) this.#verdicts.set(entry.uri, verdict);
    }
    for (const entry of entries) {
      if (!this.#done.has(entry.uri) && this.#isFitting(entry)) this.#arrival(entry);
    }
  }

  has({ uri }: BundleEntry): boolean {
    const state = this.#done.get(uri);
    return state === "taken" || state === "had";
  }

  /** What was taken in since the last call: its files are of no more use. */
  newlyTaken(): readonly BundleEntry[] {
    return this.#newlyTaken.splice(0);
  }

  result(): FetchResult {
    const states = [...this.#done.values()];
    const count = (state: string) => states.filter((each) => each === state).length;
    return { taken: count("taken"), failed: count("failed"), tips: this.#tips };
  }

  /**
   * Takes in several, each standing on those before it, while they arrive: all of them, or, when anything is wrong with
   * one, first none, and then what can be, one by one. A bundle's own faults are told, not thrown.
   *
   * @throws OdbError aborted, full
   */
  async takeAll(entries: readonly BundleEntry[]): Promise<void> {
    const left = entries.filter(({ uri }) => !this.#done.has(uri));
    if (left.length === 0) return;
    if (left.every((entry) => this.#isFitting(entry)) && (await this.#takeTogether(left))) return;
    for (const entry of left) await this.#take(entry);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#downloads[Symbol.asyncDispose]();
  }

  /** @returns false when it did not work: which bundle is at fault, if any, shows when they are taken one by one */
  async #takeTogether(entries: readonly BundleEntry[]): Promise<boolean> {
    try {
      const bundles = Promise.all(entries.map((entry) => this.#open(entry))).then(async (opened) => {
        const [first] = opened;
        if (first !== undefined) await this.#checkPrerequisites(first);
        return opened;
      });
      await this.#unbundle(bundles);
    } catch (error) {
      if (mustEnd(toOdbError(error))) throw error;
      return false;
    }
    for (const entry of entries) this.#finish(entry);
    return true;
  }

  /** Takes one in, once it is here whole, and before it what it turns out to need. */
  async #take(entry: BundleEntry): Promise<void> {
    const { options, isPartial } = this.#work;
    if (this.#done.has(entry.uri)) return;
    try {
      this.#checkVerdict(entry);
      if (!isPartial) checkFilter(entry.filter, entry.uri);
      await this.#arrival(entry).whole;
      await this.#unbundleOne(entry);
      this.#finish(entry);
    } catch (error) {
      const known = toOdbError(error);
      if (mustEnd(known)) throw known;
      this.#done.set(entry.uri, "failed");
      await this.#remember(entry, known);
      options.warn(`${known.message}; going on without this bundle`);
    }
  }

  /** Without an etag there is no telling whether the server has another file by now. */
  #checkVerdict({ uri }: BundleEntry): void {
    const verdict = this.#verdicts.get(uri);
    if (verdict?.kind !== "refused" || verdict.version !== "") return;
    throw new OdbError("conflict", `${verdict.why}; it is not asked for again until the table changes`);
  }

  /** So that what is bad is not downloaded at each fetch. */
  async #remember(entry: BundleEntry, { code, message }: OdbError): Promise<void> {
    const { workplace, isPartial } = this.#work;
    const isOfNoUseHere = entry.filter !== undefined && !isPartial;
    if (isOfNoUseHere) return;
    if (code === "integrity" || code === "unsupported") await workplace.setRefused(entry, message);
    // Of a download that broke off the part stays, to be gone on with.
    else if (code !== "unavailable" && !this.#verdicts.has(entry.uri)) await workplace.forget(entry);
  }

  async #unbundleOne(entry: BundleEntry): Promise<void> {
    const { repo, isPartial } = this.#work;
    const bundle = await this.#open(entry);
    if (!(await hasPrerequisites(repo, bundle, isPartial, this.#tips))) {
      // The table was rewritten, or what it requires could not be had: all that is left is to look below.
      const below = this.#work.table.bundles.find(({ uri }) => uri === entry.requires);
      if (below) await this.#take(below);
      await this.#checkPrerequisites(bundle);
    }
    await this.#unbundle(Promise.resolve([bundle]));
  }

  /** @throws OdbError conflict, when what the bundle builds on is not here */
  async #checkPrerequisites(bundle: OpenBundle): Promise<void> {
    const { repo, isPartial } = this.#work;
    if (await hasPrerequisites(repo, bundle, isPartial, this.#tips)) return;
    throw new OdbError("conflict", `${bundle.what}: it builds on commits that are not here`);
  }

  async #unbundle(bundles: Promise<readonly OpenBundle[]>): Promise<void> {
    const { repo, isPartial, options } = this.#work;
    const refs = await unbundle(repo, bundles, isPartial, options.signal);
    for (const oid of refs.values()) this.#tips.add(oid);
  }

  #finish(entry: BundleEntry): void {
    this.#done.set(entry.uri, "taken");
    this.#newlyTaken.push(entry);
  }

  #open(entry: BundleEntry): Promise<OpenBundle> {
    return openBundle(this.#work.repo, this.#arrival(entry), entry, this.#work.isPartial);
  }

  /** Whether it may well be of use: not what was bad, nor what lacks blobs to a full clone. */
  #isFitting({ filter, uri }: BundleEntry): boolean {
    return !this.#verdicts.has(uri) && (filter === undefined || this.#work.isPartial);
  }

  #arrival(entry: BundleEntry): Arrival {
    const verdict = this.#verdicts.get(entry.uri);
    return this.#downloads.of(entry, verdict?.kind === "refused" ? verdict.version : undefined);
  }
}

/** What is no bundle's fault and would strike the next one, too. */
function mustEnd({ code }: OdbError): boolean {
  return code === "aborted" || code === "full" || code === "bug";
}
