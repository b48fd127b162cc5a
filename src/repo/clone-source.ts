/** What a clone is made from: the URL as git takes it, the folder named after it, and what the remote has. */

import { existsSync } from "node:fs";
import { basename, isAbsolute, resolve } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import { type HashAlgorithm, isObjectId, type ObjectId } from "../object/id.js";
import { redact } from "../trace.js";
import { type GitOptions, gitRecords, runGit } from "./process.js";

/** What a remote says of itself, by one `git ls-remote`. */
export interface RemoteRefs {
  /** In the remote's order. */
  readonly refs: ReadonlyMap<string, ObjectId>;
  /** The branch that HEAD names, if the remote says so. */
  readonly headBranch?: string;
  readonly head?: ObjectId;
  /** Unknown of a remote without refs. */
  readonly hash?: HashAlgorithm;
}

/**
 * The URL as it is stored in the config: a local path made absolute, as git does.
 *
 * @throws OdbError invalid, when it holds a password: it would stay in the config for everybody to read
 */
export function sourceUrl(text: string): string {
  if (text === "" || text.startsWith("-")) {
    throw new OdbError("invalid", `${JSON.stringify(text)} is no URL of a repository`);
  }
  if (isLocalPath(text)) return isAbsolute(text) ? text : resolve(text);
  const [, userinfo] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#\s@]*)@/i.exec(text) ?? [];
  if (userinfo?.includes(":")) {
    throw new OdbError(
      "invalid",
      `${redact(text)}: leave the password out of the URL; git asks for it, or takes it from git credential`,
    );
  }
  return text;
}

/**
 * The folder that git would name after this URL: its last part, without `.git` (git-clone(1)).
 *
 * @throws OdbError invalid, when there is none
 */
export function folderOf(url: string): string {
  const path = url
    .replace(/^odb::/, "")
    .replace(/\?.*$/s, "")
    .replace(/[/\s]+$/, "")
    .replace(/\/\.git$/, "");
  const last =
    path
      .replace(/^[a-z][a-z0-9+.-]*:\/\/([^/@]*@)?/i, "")
      .split(/[/:]/)
      .at(-1) ?? "";
  const name = basename(last)
    .replace(/\.(?:git|bundle)$/, "")
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim();
  if (name !== "" && name !== "." && name !== "..") return name;
  throw new OdbError("invalid", `${redact(url)} gives no name for a folder: name one behind the URL`);
}

/** Asks the remote for its refs. @throws OdbError with git's own line, when it cannot be reached */
export async function askRemote(url: string, options: GitOptions = {}): Promise<RemoteRefs> {
  try {
    return await listRemote(url, options);
  } catch (error) {
    const { code, message } = toOdbError(error);
    if (code === "aborted") throw error;
    throw new OdbError(code, `${redact(url)} cannot be cloned: ${message}`, { cause: error });
  }
}

async function listRemote(url: string, options: GitOptions): Promise<RemoteRefs> {
  const refs = new Map<string, ObjectId>();
  let headBranch: string | undefined;
  for await (const record of gitRecords(["ls-remote", "--symref", "--", url], "\n", options)) {
    const [what = "", ref = ""] = record.toString().split("\t");
    if (what.startsWith("ref: ")) {
      if (ref === "HEAD") headBranch = what.slice("ref: ".length);
    } else if (isObjectId(what) && !ref.endsWith("^{}")) refs.set(ref, what);
  }
  const head = refs.get("HEAD");
  const some = head ?? refs.values().next().value;
  return {
    refs,
    ...(headBranch !== undefined && { headBranch }),
    ...(head !== undefined && { head }),
    ...(some !== undefined && { hash: some.length === 64 ? "sha256" : "sha1" }),
  };
}

/** What to check out. */
export type CloneHead =
  /** A branch, by its full name. */
  | { readonly branch: string }
  /** A tag, or a remote whose HEAD is detached. */
  | { readonly detached: ObjectId; readonly ref: string };

/**
 * What a clone checks out, as `git clone` chooses: `--branch`; the branch of the remote's HEAD; a branch at the same
 * commit, the user's default branch first; else HEAD itself, detached.
 *
 * @returns undefined when the remote's HEAD names a branch that is not there
 * @throws OdbError config, when the remote has no such branch or tag
 */
export async function chooseHead(
  { refs, head, headBranch }: RemoteRefs,
  wanted: string | undefined,
): Promise<CloneHead | undefined> {
  if (wanted !== undefined) {
    if (refs.has(`refs/heads/${wanted}`)) return { branch: `refs/heads/${wanted}` };
    const tag = `refs/tags/${wanted}`;
    const detached = refs.get(tag);
    if (detached !== undefined) return { detached, ref: tag };
    throw new OdbError("config", `remote branch ${wanted} not found: the remote has no such branch or tag`);
  }
  if (head === undefined) return undefined;
  if (headBranch !== undefined) return refs.has(headBranch) ? { branch: headBranch } : undefined;
  const same = [...refs].filter(([ref, oid]) => oid === head && ref.startsWith("refs/heads/"));
  const preferred = `refs/heads/${await defaultBranch()}`;
  const branch = same.find(([ref]) => ref === preferred)?.[0] ?? same[0]?.[0];
  return branch === undefined ? { detached: head, ref: "HEAD" } : { branch };
}

async function defaultBranch(): Promise<string> {
  const { status, stdout } = await runGit(["config", "--get", "init.defaultBranch"], { okStatus: [0, 1] });
  return status === 0 ? stdout.toString().trim() : "master";
}

/** As git: whatever exists as a path, or cannot be a URL nor `host:path`. */
function isLocalPath(text: string): boolean {
  if (/^[a-z][a-z0-9+.-]*:(?:\/\/|:)/i.test(text)) return false;
  return existsSync(text) || existsSync(`${text}.git`) || !/^[^/]*:/.test(text);
}
