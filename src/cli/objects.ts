/** The objects that a user means: by id, by the name of a file, or by anything that git knows an object by. */

import { existsSync, statSync } from "node:fs";
import { relative, resolve, sep } from "node:path";
import { createInterface } from "node:readline";
import { OdbError } from "../errors.js";
import { hexLength, isObjectId, type ObjectId, parseObjectId } from "../object/id.js";
import type { Repository } from "../repo/git.js";

/** The arguments of a verb, or the lines of stdin with `--stdin`. */
export async function* namesOf(args: readonly string[], stdin: boolean | undefined): AsyncGenerator<string> {
  if (!stdin) {
    if (args.length === 0)
      throw new OdbError("invalid", "nothing was named: give object ids or paths, or --stdin");
    yield* args;
    return;
  }
  if (args.length > 0)
    throw new OdbError("invalid", "give objects either as arguments or by --stdin, not both");
  for await (const line of createInterface({ input: process.stdin })) if (line !== "") yield line;
}

/**
 * The object that a name stands for, to be put: the id itself; a file as `git add` would store it now, which is
 * written to the repository's object store; or a revision like `HEAD:picture.psd`.
 *
 * @throws OdbError invalid, when it is none of these
 */
export async function objectToPut(repo: Repository, name: string): Promise<ObjectId> {
  if (isFile(name) && !isIdOf(repo, name)) {
    const path = resolve(name);
    const below = repo.workTree && relative(repo.workTree, path);
    const filtered = below !== undefined && below !== ".." && !below.startsWith(`..${sep}`);
    return parseObjectId(
      await repo.text(["hash-object", "-w", filtered ? `--path=${below}` : "--no-filters", "--", path]),
    );
  }
  return await namedObject(repo, name);
}

/**
 * The object that a name stands for, to be got: the id itself, the blob that the index (without a work tree: HEAD) has
 * for a path, or a revision.
 *
 * @throws OdbError invalid, when it is none of these
 */
export async function objectToGet(repo: Repository, name: string): Promise<ObjectId> {
  if (isIdOf(repo, name) || repo.workTree === undefined) return await namedObject(repo, name);
  const path = relative(repo.workTree, resolve(name));
  return (
    (await revParse(repo, `:${path}`)) ??
    (await revParse(repo, `HEAD:${path}`)) ??
    (await namedObject(repo, name))
  );
}

async function namedObject(repo: Repository, name: string): Promise<ObjectId> {
  if (isIdOf(repo, name)) return parseObjectId(name);
  const oid = repo.workTree === undefined ? await revParse(repo, `HEAD:${name}`) : undefined;
  const found = oid ?? (await revParse(repo, name));
  if (found !== undefined) return found;
  throw new OdbError(
    "invalid",
    `${JSON.stringify(name)} is no object id (${hexLength[repo.hash]} hex digits), no file and no revision of ${repo.name}`,
  );
}

/** Names only: the object itself need not be here. */
async function revParse(repo: Repository, name: string): Promise<ObjectId | undefined> {
  if (name.startsWith("-")) return undefined;
  const args = ["rev-parse", "--verify", "--quiet", name];
  const { status, stdout } = await repo.run(args, { okStatus: [0, 1, 128] });
  const oid = stdout.toString().trim();
  return status === 0 && isObjectId(oid) ? oid : undefined;
}

function isIdOf(repo: Repository, name: string): boolean {
  return isObjectId(name) && name.length === hexLength[repo.hash];
}

function isFile(name: string): boolean {
  return existsSync(name) && statSync(name).isFile();
}
