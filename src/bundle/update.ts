/** `git odb bundle create` and `update`: carries what a repository has gained into a chain of bundles. */

import { randomBytes } from "node:crypto";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Content, Source } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";
import { type Chain, changedTips, type Link, planMerge, readChain } from "./chain.js";
import { type BundleFilter, bundleName, chainFolder, tableName } from "./files.js";
import { type BundleContent, bundledRefs, commitsAmong, makeBundle, type Tips } from "./pack.js";
import { entriesOf, publishList, publishTable, removeExpired } from "./publish.js";
import { type BundleEntry, formatTable } from "./table.js";

/** How a chain is made or carried on. */
export interface UpdateOptions extends CallOptions {
  /** Where readers GET the chain's folder, checked by `parseBaseUrl`. Default: as the table has it. */
  readonly baseUrl?: string;
  readonly filter?: BundleFilter;
  /** `new`: there must be no chain yet; `replace`: begin anew whatever is there; `update`: there must be one. */
  readonly start: "new" | "replace" | "update";
  /** How long bundles that no table names stay. */
  readonly graceMs: number;
  /** Bytes on their way into the bucket. */
  readonly through?: (content: Content) => Content;
}

/** What came of it. */
export interface UpdateResult {
  /** The table as it is now, oldest bundle first. */
  readonly entries: readonly BundleEntry[];
  /** URIs that were not there before. */
  readonly made: readonly string[];
  /** Bundles removed after their grace. */
  readonly removed: number;
}

/** Tries when others update the same chain at the same time. */
const ATTEMPTS = 5;

/**
 * Bundles what the chain lacks, merges old bundles, and publishes both tables. Everything is written before the
 * tables name it, so an end at any moment leaves a chain that works, old or new.
 *
 * @throws OdbError unsupported, when the bucket has no conditional writes; conflict, when there is a chain already,
 *   none, or another writer at every try; config, when there is nothing to bundle
 */
export async function updateBundles(
  repo: Repository,
  bucket: Bucket,
  options: UpdateOptions,
): Promise<UpdateResult> {
  await checkSource(repo);
  if (options.start !== "update") await bucket.create?.(call(options));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const done = await tryUpdate({ repo, bucket, options });
    if (done) return done;
  }
  throw new OdbError("conflict", `${bucket.name}: others keep updating these bundles: run it again later`);
}

async function checkSource(repo: Repository): Promise<void> {
  const shallow = await repo.text(["rev-parse", "--is-shallow-repository"]);
  if (shallow === "true") {
    throw new OdbError(
      "unsupported",
      `${repo.name} is shallow: bundles need its whole history (git fetch --unshallow)`,
    );
  }
}

/** One try. @returns undefined when another writer was first */
async function tryUpdate(works: Works): Promise<UpdateResult | undefined> {
  const { repo, bucket, options } = works;
  const { filter } = options;
  const found = await readStart(bucket, options);
  checkHash(found, repo, bucket);
  const refs = await bundledRefs(repo);
  if (refs.size === 0)
    throw new OdbError("config", `${repo.name} has no branch or tag yet: nothing to bundle`);
  await checkConditional(bucket, options);
  const old = options.start === "replace" ? [] : (found?.links ?? []);
  const grown = await carryOn(works, old, refs);
  const links = await shortened(works, grown, refs);
  const baseUrl =
    options.baseUrl === undefined ? (found?.baseUrl ?? "") : withFolder(options.baseUrl, filter);
  if (baseUrl === "") throw new OdbError("config", `${bucket.name}: its table is empty: say --base-url`);
  const entries = entriesOf(links, baseUrl, filter);
  const isNews =
    !found || !formatTable(entries).equals(formatTable(entriesOf(found.links, found.baseUrl, filter)));
  if (isNews && !(await publishTable(bucket, filter, entries, found?.etag, call(options)))) return undefined;
  await publishList(bucket, filter, call(options));
  const removed = await removeExpired(bucket, filter, options.graceMs, call(options));
  const before = new Set(found?.links.map(({ name }) => name));
  const made = links.flatMap(({ name }) => (before.has(name) ? [] : [`${baseUrl}/${name}`]));
  return { entries, made, removed };
}

interface Works {
  readonly repo: Repository;
  readonly bucket: Bucket;
  readonly options: UpdateOptions;
}

async function readStart(bucket: Bucket, options: UpdateOptions): Promise<Chain | undefined> {
  const where = `${bucket.name}/${chainFolder(options.filter)}${tableName}`;
  if (options.start === "replace") {
    const entry = await bucket.head(chainFolder(options.filter) + tableName, call(options));
    return entry && { hash: undefined, links: [], baseUrl: "", etag: entry.etag };
  }
  const found = await readChain(bucket, options.filter, call(options));
  if (options.start === "new" && found) {
    throw new OdbError(
      "conflict",
      `${where} is there already: use git odb bundle update, or --force to begin anew`,
    );
  }
  if (options.start === "update" && !found) {
    throw new OdbError("config", `${where} is not there: begin with git odb bundle create`);
  }
  return found;
}

async function checkConditional(bucket: Bucket, options: UpdateOptions): Promise<void> {
  if (await bucket.conditionalWrites(call(options))) return;
  const why = "two updates at once could lose a table";
  throw new OdbError("unsupported", `${bucket.name} has no conditional writes: ${why}`);
}

function checkHash(found: Chain | undefined, repo: Repository, bucket: Bucket): void {
  if (found?.hash === undefined || found.hash === repo.hash) return;
  throw new OdbError(
    "conflict",
    `${bucket.name} has bundles of a ${found.hash} repository: ${repo.name} is ${repo.hash}`,
  );
}

/** The chain with one more link, if there is anything that it lacks. */
async function carryOn(works: Works, links: readonly Link[], refs: Tips): Promise<readonly Link[]> {
  const last = links.at(-1);
  if (last === undefined) return newChain(works, refs, 0);
  const changed = changedTips(last.tips, refs);
  if (changed.size === 0) return links;
  const { commits } = await commitsAmong(works.repo, last.tips.values());
  const timestamp = Math.max(Math.floor(Date.now() / 1000), last.timestamp + 1);
  const content = { refs: changed, without: commits };
  const link = await makeLink(works, content, timestamp, new Map([...last.tips, ...changed]));
  return link ? [...links, link] : links;
}

async function newChain(works: Works, refs: Tips, after: number): Promise<readonly Link[]> {
  const timestamp = Math.max(Math.floor(Date.now() / 1000), after + 1);
  const link = await makeLink(works, { refs, without: [] }, timestamp, refs);
  return link ? [link] : [];
}

/** The chain, merged where it has grown too long; begun anew where the repository has lost what would be merged. */
async function shortened(works: Works, links: readonly Link[], refs: Tips): Promise<readonly Link[]> {
  const merge = planMerge(links.map(({ size }) => size));
  const last = merge && links[merge.to - 1];
  if (merge === undefined || last === undefined) return links;
  const below = links[merge.from - 1];
  const wanted = changedTips(below?.tips ?? new Map<string, ObjectId>(), last.tips);
  const { missing } = await commitsAmong(works.repo, wanted.values());
  if (missing.length > 0) return newChain(works, refs, links.at(-1)?.timestamp ?? 0);
  const { commits } = await commitsAmong(works.repo, below?.tips.values() ?? []);
  const link = await makeLink(works, { refs: wanted, without: commits }, last.timestamp, last.tips);
  const rest = links.slice(merge.to);
  return [...links.slice(0, merge.from), ...(link ? [link] : []), ...rest];
}

/** Makes a bundle and puts it into the bucket, where no table names it yet. */
async function makeLink(
  { repo, bucket, options }: Works,
  content: BundleContent,
  timestamp: number,
  tips: Tips,
): Promise<Link | undefined> {
  const { filter, signal } = options;
  const directory = bucket.stagingDirectory;
  await using file = await makeBundle(repo, { ...content, filter }, { directory, signal });
  if (file === undefined) return undefined;
  const { size, sha256 } = file;
  const name = bundleName(timestamp, randomBytes(8).toString("hex"));
  await bucket.write(chainFolder(filter) + name, counted(file, options.through), {
    ...call(options),
    sha256,
    contentType: "application/x-git-bundle",
  });
  return { name, timestamp, size, sha256, tips };
}

/** The same source, its bytes counted on their way; a file that is linked into place has no way to go. */
function counted(source: Source, through: UpdateOptions["through"]): Source {
  if (through === undefined) return source;
  return { ...source, open: (range) => through(source.open(range)) };
}

function call({ signal }: UpdateOptions): CallOptions {
  return signal ? { signal } : {};
}

/** A filtered chain is in a folder of its own, also for readers. */
function withFolder(baseUrl: string, filter: BundleFilter | undefined): string {
  return `${baseUrl}/${chainFolder(filter)}`.replace(/\/$/, "");
}
