/** Metadata refs to a remote: they only ever say the same, so they are added, never forced, and a lost race is no loss. */

import { randomBytes, randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { OdbError } from "../errors.js";
import { isObjectId, type ObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";
import { listRefs, type Ref, type RefUpdate, updateRefs } from "../repo/update-ref.js";
import { metadataPrefix } from "./refs.js";

/**
 * So many refs are named to git one by one. It looks for each among all local refs, and among all that it is about to
 * make: 2,000 of 2,000 take it 2.4 s.
 */
const FEW = 16;

/** Above the copies of the refs of one push of many among more: its pattern shall match them, and no others. */
const OWN_REFS = "refs/odbs-push/";

/** Such refs that a killed push has left are removed after so many milliseconds: a day. */
const STALE_MS = 24 * 3600 * 1000;

/** Tries, when others push the same refs. */
const ATTEMPTS = 6;

/** What {@link pushMetadataRefs} did. */
export interface RefsReport {
  /** Refs that the remote has now, of those asked for. */
  readonly there: number;
  /** Refs that the remote has with other content, whose word stands. */
  readonly other: readonly string[];
}

/**
 * Brings the metadata refs of these objects to a remote, by `git push` without its hooks.
 *
 * @param remote a name or URL
 * @throws OdbError denied, when the remote takes no such refs; what git says, when it cannot be reached
 */
export async function pushMetadataRefs(
  repo: Repository,
  name: string,
  remote: string,
  oids: readonly ObjectId[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<RefsReport> {
  const prefix = metadataPrefix(name);
  const all = [...new Set(oids)].map((oid) => prefix + oid);
  return {
    there: all.length,
    other: all.length === 0 ? [] : await pushUntilThere(repo, remote, all, options),
  };
}

/** @returns the refs that the remote has with other content */
async function pushUntilThere(
  repo: Repository,
  remote: string,
  refs: readonly string[],
  options: { readonly signal?: AbortSignal },
): Promise<string[]> {
  let left = refs;
  for (let attempt = 1; ; attempt++) {
    const refused = await push(repo, remote, left, options);
    if (refused.length === 0) return [];
    left = refused.map(({ ref }) => ref);
    // Somebody else was first, with the same or with other bytes about the same object.
    const present = await refsOf(repo, remote, left);
    left = left.filter((ref) => !present.has(ref));
    const differing = await differingRefs(repo, present);
    if (left.length === 0) return differing;
    if (attempt >= ATTEMPTS || refused.every(({ why }) => !isRace(why))) throw refusal(remote, left, refused);
    await sleep(randomInt(50, 200) * attempt);
  }
}

interface Refused {
  readonly ref: string;
  readonly why: string;
}

/** One `git push`. @returns what the remote did not take */
async function push(
  repo: Repository,
  remote: string,
  refs: readonly string[],
  options: { readonly signal?: AbortSignal },
): Promise<Refused[]> {
  if (refs.length <= FEW)
    return pushSpecs(
      repo,
      remote,
      refs.map((ref) => `${ref}:${ref}`),
      options,
    );
  const prefix = refs[0]?.replace(/[^/]*$/, "") ?? "";
  const local = await listRefs(repo, prefix);
  const wanted = new Set(refs);
  const others = local.filter(({ ref }) => !wanted.has(ref));
  const own = `${OWN_REFS}${Date.now()}-${randomBytes(4).toString("hex")}/`;
  const copies = copiesOf(local, refs, prefix, own);
  const stale = await staleRefs(repo);
  if (others.length <= FEW) {
    await updateRefs(repo, stale);
    const specs = [`${prefix}*:${prefix}*`, ...others.map(({ ref }) => `^${ref}`)];
    // One that another process has written since is pushed along: it is as true as these.
    return (await pushSpecs(repo, remote, specs, options)).filter(({ ref }) => wanted.has(ref));
  }
  await updateRefs(repo, [...stale, ...copies]);
  try {
    return await pushSpecs(repo, remote, [`${own}*:${prefix}*`], options);
  } finally {
    await updateRefs(
      repo,
      copies.map(({ ref }) => ({ ref, oid: undefined })),
    );
  }
}

/** The same refs under another name. */
function copiesOf(local: readonly Ref[], refs: readonly string[], prefix: string, own: string): RefUpdate[] {
  const values = new Map(local.map(({ ref, oid }) => [ref, oid]));
  return refs.map((ref) => {
    const oid = values.get(ref);
    if (oid === undefined)
      throw new OdbError("conflict", `${ref} went away while it was to be pushed: run this again`);
    return { ref: own + ref.slice(prefix.length), oid };
  });
}

async function staleRefs(repo: Repository): Promise<RefUpdate[]> {
  const refs = await listRefs(repo, OWN_REFS);
  return refs
    .filter(({ ref }) => Number.parseInt(ref.slice(OWN_REFS.length), 10) < Date.now() - STALE_MS)
    .map(({ ref }) => ({ ref, oid: undefined }));
}

async function pushSpecs(
  repo: Repository,
  remote: string,
  specs: readonly string[],
  options: { readonly signal?: AbortSignal },
): Promise<Refused[]> {
  const flags = ["--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed"];
  const args = ["-c", "push.pushOption=", "push", ...flags, "--", remote, ...specs];
  const { status, stdout, stderr } = await repo.run(args, { ...options, okStatus: [0, 1] });
  const refused: Refused[] = [];
  for (const line of stdout.toString().split("\n")) {
    const [flag, spec = "", why = ""] = line.split("\t");
    if (flag === "!") refused.push({ ref: spec.slice(spec.indexOf(":") + 1), why });
  }
  if (status === 0 || refused.length > 0) return refused;
  const told = stderr.split("\n").findLast((line) => /^(?:fatal|error): /.test(line));
  throw new OdbError("unavailable", `git push ${remote}: ${told ?? "failed"}`);
}

/** The remote's refs among those asked for. */
async function refsOf(
  repo: Repository,
  remote: string,
  refs: readonly string[],
): Promise<Map<string, ObjectId>> {
  const wanted = new Set(refs);
  const prefix = refs[0]?.replace(/[^/]*$/, "*") ?? "";
  const found = new Map<string, ObjectId>();
  for await (const line of repo.runLines(["ls-remote", "--", remote, prefix])) {
    const [oid = "", ref = ""] = line.split("\t");
    if (wanted.has(ref) && isObjectId(oid)) found.set(ref, oid);
  }
  return found;
}

/** Those that point to another blob here. */
async function differingRefs(repo: Repository, refs: ReadonlyMap<string, ObjectId>): Promise<string[]> {
  const differing: string[] = [];
  for (const [ref, oid] of refs) {
    if ((await repo.text(["rev-parse", "--verify", "--quiet", ref])) !== oid) differing.push(ref);
  }
  return differing;
}

/** What a remote says when two write the same ref at the same moment. */
function isRace(why: string): boolean {
  return /cannot lock ref|failed to (?:update|lock)|already exists|reference|fetch first|non-fast-forward|stale/i.test(
    why,
  );
}

function refusal(remote: string, left: readonly string[], refused: readonly Refused[]): OdbError {
  const why = refused[0]?.why ?? "no reason given";
  return new OdbError(
    "denied",
    `${remote} does not take ${left.length} metadata refs (${left[0]}: ${why}): the objects are in the store, but other clones are not told`,
  );
}
