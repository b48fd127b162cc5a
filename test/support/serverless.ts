/** Two or more people with a git each and one bucket between them. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cliEnv } from "./cli.js";
import { git, spawnGit, tryGit } from "./git.js";
import { tempDir } from "./temp.js";

/** A repository and git run in it, with our commands on PATH. */
export interface Person {
  readonly dir: string;
  /** Throws when git fails. */
  git(...args: string[]): string;
  try(...args: string[]): { status: number; stdout: string; stderr: string };
  /** While this process goes on: needed when it serves the bucket. */
  run(
    args: readonly string[],
    env?: NodeJS.ProcessEnv,
  ): Promise<{ status: number; stdout: string; stderr: string }>;
  /** Writes files and commits them. @returns the commit */
  commit(files: Record<string, string | Uint8Array>, message?: string): string;
}

/** Git in a folder that is a repository already. */
export function person(dir: string): Person {
  const env = cliEnv();
  return {
    dir,
    git: (...args) => git(args, { cwd: dir, env }),
    try: (...args) => tryGit(args, { cwd: dir, env }),
    run: (args, more) => spawnGit(args, { cwd: dir, env: { ...env, ...more } }),
    commit(files, message = "change") {
      for (const [path, content] of Object.entries(files)) writeFileSync(join(dir, path), content);
      git(["add", "-A"], { cwd: dir, env });
      git(["commit", "-q", "--allow-empty", "-m", message], { cwd: dir, env });
      return git(["rev-parse", "HEAD"], { cwd: dir, env });
    },
  };
}

/** A new repository with `origin`, nothing in it. */
export function newPerson(url: string, ...args: string[]): Person {
  const dir = tempDir("person");
  git(["init", "-q", "-b", "main", ...args, dir]);
  git(["remote", "add", "origin", url], { cwd: dir });
  return person(dir);
}

/** `git clone`. */
export function clonePerson(url: string, ...args: string[]): Person {
  const dir = join(tempDir("clone"), "c");
  git(["clone", "-q", ...args, url, dir], { env: cliEnv() });
  return person(dir);
}

/** As {@link clonePerson}, while this process goes on. */
export async function cloneServed(url: string, ...args: string[]): Promise<Person> {
  const dir = join(tempDir("clone"), "c");
  const { status, stderr } = await spawnGit(["clone", "-q", ...args, url, dir], { env: cliEnv() });
  if (status !== 0) throw new Error(`git clone ${url}: ${stderr}`);
  return person(dir);
}
