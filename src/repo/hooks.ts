/** The repository's hooks: githooks(5). Only a file of our own making is ever written or taken away. */

import { randomBytes } from "node:crypto";
import { chmod, link, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { OdbError, toOdbError } from "../errors.js";
import { readConfig } from "./config.js";
import type { Repository } from "./git.js";

/** Where a hook lies. */
export interface HookPlace {
  readonly path: string;
  /** `core.hooksPath` is set for more than this repository: the folder is not ours to write to. */
  readonly shared: boolean;
}

/** The file that git runs, `core.hooksPath` honoured. */
export async function hookPlace(repo: Repository, hook: string): Promise<HookPlace> {
  const path = await repo.text(["rev-parse", "--git-path", `hooks/${hook}`]);
  const set = (await readConfig(repo)).findLast(({ key }) => key === "core.hookspath");
  const base = repo.workTree ?? repo.gitDir;
  return {
    path: isAbsolute(path) ? path : join(base, path),
    shared: set !== undefined && set.scope !== "repository",
  };
}

/** What stands in a hook's place: nothing, exactly our script, or something else. */
export async function hookState(path: string, script: string): Promise<"absent" | "ours" | "other"> {
  try {
    return (await readFile(path, "utf8")) === script ? "ours" : "other";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "absent";
    throw toOdbError(error);
  }
}

/** What git makes of a hook that {@link hookState} tells apart from none. */
export interface HookHealth {
  /** git passes over a hook that is not executable. */
  readonly runs: boolean;
  /** Ours, or one of the user's that does the same, as far as this text in it shows. */
  readonly does: boolean;
}

/** @returns undefined when there is no hook */
export async function hookHealth(
  path: string,
  script: string,
  text: string,
): Promise<HookHealth | undefined> {
  try {
    const found = await readFile(path, "utf8");
    const { mode } = await stat(path);
    return { runs: (mode & 0o111) !== 0, does: found === script || found.includes(text) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw toOdbError(error);
  }
}

/** Writes a hook where there is none. @throws OdbError conflict, when one has come meanwhile */
export async function writeHook(path: string, script: string): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, script, { flag: "wx" });
    await chmod(temporary, 0o755);
    // A link never replaces what is there.
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      throw new OdbError("conflict", `${path} is there already: look at it, then run this again`);
    }
    throw toOdbError(error);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Takes a hook away that {@link hookState} found to be ours. */
export async function removeHook(path: string): Promise<void> {
  await rm(path, { force: true });
}
