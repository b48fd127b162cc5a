/** What git asks to push, resolved in the repository: which object each ref is to name. */

import { isObjectId, type ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { infosOf } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { isRefName, type RefChange, type RefTable } from "./refs-object.js";
import type { PushCommand, RemoteOptions } from "./remote.js";

/** A change with what git asked for, or why it cannot be made. */
export type Resolved =
  | { readonly command: PushCommand; readonly change: RefChange }
  | { readonly command: PushCommand; readonly error: string };

/** Finds the objects that the commands name, and what annotated tags among them stand for: two git processes. */
export async function resolveCommands(
  repo: Repository,
  commands: readonly PushCommand[],
): Promise<Resolved[]> {
  const sources = commands.map(({ source }) => source).filter((source) => source !== undefined);
  const oids = await resolveNames(repo, sources);
  const peeled = await resolveNames(
    repo,
    [...new Set(oids.values())].map((oid) => `${oid}^{}`),
  );
  return commands.map((command): Resolved => {
    if (!isRefName(command.ref)) return { command, error: "funny refname" };
    if (command.source === undefined) return { command, change: { ref: command.ref, oid: undefined } };
    const oid = oids.get(command.source);
    if (oid === undefined) return { command, error: "the source names no object of the repository" };
    const target = peeled.get(`${oid}^{}`);
    const isTag = target !== undefined && target !== oid;
    return { command, change: { ref: command.ref, oid, ...(isTag && { peeled: target }) } };
  });
}

/**
 * Refuses what would lose commits without `force`. git looks too, but passes on what it knows only to be newer than
 * what is here ("fetch first", transport-helper.c), and leaves that to the helper.
 */
export async function refuseLosses(
  repo: Repository,
  resolved: readonly Resolved[],
  { refs }: RefTable,
  { leases }: Pick<RemoteOptions, "leases">,
): Promise<Resolved[]> {
  const checked: Resolved[] = [];
  for (const each of resolved) {
    const { command } = each;
    const old = refs.get(command.ref);
    const isFree = "error" in each || command.force || leases.has(command.ref) || old === undefined;
    const error = isFree ? undefined : await lossOf(repo, command.ref, old, each.change.oid);
    checked.push(error === undefined ? each : { command, error });
  }
  return checked;
}

/** Why a ref may not move so, in git's words. */
async function lossOf(
  repo: Repository,
  ref: string,
  old: ObjectId,
  oid: ObjectId | undefined,
): Promise<string | undefined> {
  if (oid === undefined || oid === old) return undefined;
  if (ref.startsWith("refs/tags/")) return "already exists";
  const known = await Promise.all([infoOf(repo, old), infoOf(repo, oid)]);
  if (known[0] === undefined) return "fetch first";
  if (known.some((info) => info?.type !== "commit")) return "needs force";
  const { status } = await repo.run(["merge-base", "--is-ancestor", old, oid], { okStatus: [0, 1] });
  return status === 0 ? undefined : "non-fast forward";
}

async function infoOf(repo: Repository, oid: ObjectId): Promise<ObjectInfo | undefined> {
  for await (const info of infosOf(repo, [oid])) return info;
  return undefined;
}

async function resolveNames(repo: Repository, names: readonly string[]): Promise<Map<string, ObjectId>> {
  const found = new Map<string, ObjectId>();
  if (names.length === 0) return found;
  const args = ["cat-file", "--batch-check=%(objectname)"];
  const input = names.map((name) => `${name}\n`).join("");
  let at = 0;
  for await (const line of repo.runLines(args, { input })) {
    const name = names[at++];
    if (name !== undefined && isObjectId(line)) found.set(name, line);
  }
  return found;
}

/** The first branch that HEAD should name: as here, else the usual names, else any that is there. */
export async function chooseHead(
  repo: Repository,
  refs: ReadonlyMap<string, ObjectId>,
): Promise<string | undefined> {
  const { stdout } = await repo.run(["symbolic-ref", "--quiet", "HEAD"], { okStatus: [0, 1] });
  const usual = [stdout.toString().trim(), "refs/heads/main", "refs/heads/master"];
  const found = usual.find((ref) => ref.startsWith("refs/heads/") && refs.has(ref));
  return found ?? [...refs.keys()].find((ref) => ref.startsWith("refs/heads/"));
}
