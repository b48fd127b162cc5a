/** Makes a bundle file from a repository. */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import { type Spooled, spool } from "../object/spool.js";
import type { Repository } from "../repo/git.js";
import { listRefs, type Ref } from "../repo/update-ref.js";
import { formatBundleHeader } from "./header.js";

/** Ref names and what they are. */
export type Tips = ReadonlyMap<string, ObjectId>;

/** What is to go into a bundle. */
export interface BundleContent {
  /** All that these reach … */
  readonly refs: Tips;
  /** … save what these reach. Only commits and tags that the repository has. */
  readonly without: readonly ObjectId[];
  readonly filter?: string | undefined;
}

/** A bundle that is whole, with its digest in hex. */
export type BundleFile = Spooled & { readonly sha256: string };

/** The refs that bundles carry: HEAD where it is born, branches and tags. */
export async function bundledRefs(repo: Repository): Promise<Map<string, ObjectId>> {
  const head = await repo.text(["rev-parse", "--quiet", "--verify", "HEAD"], { okStatus: [0, 1] });
  const refs: Ref[] = [...(await listRefs(repo, "refs/heads/")), ...(await listRefs(repo, "refs/tags/"))];
  const tips = new Map(refs.map(({ ref, oid }) => [ref, oid]));
  if (head !== "" && tips.size > 0) tips.set("HEAD", head as ObjectId);
  return tips;
}

/** Those of `oids` that the repository has, and as what. */
export async function commitsAmong(
  repo: Repository,
  oids: Iterable<ObjectId>,
): Promise<{ commits: ObjectId[]; missing: ObjectId[] }> {
  const asked = [...new Set(oids)];
  const commits: ObjectId[] = [];
  const missing: ObjectId[] = [];
  if (asked.length === 0) return { commits, missing };
  const input = asked.map((oid) => `${oid}\n`).join("");
  const text = await repo.text(["cat-file", "--batch-check=%(objectname) %(objecttype)"], { input });
  for (const [n, line] of text.split("\n").entries()) {
    const oid = asked[n] as ObjectId;
    if (line.endsWith(" missing")) missing.push(oid);
    // A branch may only be a commit; a tag may be of a tree or blob, which no prerequisite can name.
    else if (line.endsWith(" commit") || line.endsWith(" tag")) commits.push(oid);
  }
  return { commits, missing };
}

/**
 * Makes a bundle, by `git pack-objects`; small ones stay in memory.
 *
 * @param directory for a temporary file; default the system's
 * @returns undefined when there is not one object to carry; else to be disposed of by the caller
 * @throws OdbError full, denied; what git's failure stands for
 */
export async function makeBundle(
  repo: Repository,
  content: BundleContent,
  options: { directory?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<BundleFile | undefined> {
  const { directory, signal } = options;
  const { refs, filter } = content;
  const prerequisites = await boundary(repo, content);
  const head = formatBundleHeader({
    hash: repo.hash,
    prerequisites,
    refs,
    ...(filter !== undefined && { filter }),
  });
  const digest = createHash("sha256");
  let objects = 0;
  const bytes = async function* () {
    yield head;
    for await (const chunk of pack(repo, content, signal)) {
      objects ||= chunk.readUInt32BE(8);
      yield chunk;
    }
  };
  const inspect = (chunk: Uint8Array) => void digest.update(chunk);
  const kept = await spool(bytes(), {
    inspect,
    ...(directory && { directory, sync: true }),
    ...(signal && { signal }),
  });
  if (objects > 0) return { ...kept, sha256: digest.digest("hex") };
  await kept[Symbol.asyncDispose]();
  return undefined;
}

function pack(repo: Repository, content: BundleContent, signal?: AbortSignal): AsyncGenerator<Buffer> {
  return gathered(
    repo.stream(packCommand(content), { input: revisions(content), ...(signal && { signal }) }),
  );
}

function packCommand({ without, filter }: BundleContent): string[] {
  const thin = without.length > 0 ? ["--thin"] : [];
  const left = filter === undefined ? [] : [`--filter=${filter}`];
  return ["pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q", ...thin, ...left];
}

function revisions({ refs, without }: BundleContent): string {
  const wanted = [...new Set(refs.values())].map((oid) => `${oid}\n`);
  return [...wanted, ...without.map((oid) => `^${oid}\n`)].join("");
}

/**
 * The commits next to what is carried, and those that refs stand on although they are not carried: with these, a
 * reader has all that the bundle builds on.
 */
async function boundary(repo: Repository, content: BundleContent): Promise<ObjectId[]> {
  if (content.without.length === 0) return [];
  const found = await peeled(repo, content.refs.values());
  const args = ["rev-list", "--boundary", "--stdin"];
  for await (const line of repo.runLines(args, { input: revisions(content) })) {
    if (line.startsWith("-")) found.add(line.slice(1) as ObjectId);
    else found.delete(line as ObjectId);
  }
  return [...found].sort();
}

/** The commits that these are, or are tags of. */
async function peeled(repo: Repository, oids: Iterable<ObjectId>): Promise<Set<ObjectId>> {
  const input = [...oids].map((oid) => `${oid}^{commit}\n`).join("");
  const commits = new Set<ObjectId>();
  for await (const line of repo.runLines(["cat-file", "--batch-check"], { input })) {
    const [oid, type] = line.split(" ");
    if (type === "commit") commits.add(oid as ObjectId);
  }
  return commits;
}

/** Chunks of 256 KiB and more: a pipe gives 64 KiB at a time, and the first must hold the pack's header. */
async function* gathered(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    size += chunk.length;
    if (size < 1 << 18) continue;
    yield Buffer.concat(held);
    held = [];
    size = 0;
  }
  if (size === 0) return;
  const last = Buffer.concat(held);
  if (last.length < 12) throw new OdbError("bug", "git pack-objects wrote less than a pack");
  yield last;
}
