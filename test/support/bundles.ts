/** A repository that grows, its bundles in a folder, and the checks that these are of use to git. */

import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { openBucket } from "../../src/bucket/open.js";
import { type BundleFilter, chainFolder } from "../../src/bundle/files.js";
import { type BundleEntry, parseTable } from "../../src/bundle/table.js";
import { type UpdateOptions, type UpdateResult, updateBundles } from "../../src/bundle/update.js";
import { openRepository } from "../../src/repo/git.js";
import { git, tempRepo } from "./git.js";

/** A repository with one commit. */
export function sourceRepo(...args: string[]): string {
  const repo = tempRepo(...args);
  commit(repo, "one");
  return repo;
}

/** One more commit, of a file that does not compress. @returns its id */
export function commit(repo: string, name: string, size = 3000): string {
  writeFileSync(join(repo, name), randomBytes(size));
  git(["add", "--", name], { cwd: repo });
  git(["commit", "-q", "-m", name], { cwd: repo });
  return git(["rev-parse", "HEAD"], { cwd: repo });
}

/** Creates or updates a chain, in this process. */
export async function bundleUp(
  repo: string,
  bucketUrl: string,
  options: Partial<UpdateOptions> = {},
): Promise<UpdateResult> {
  const bucket = await openBucket(bucketUrl);
  try {
    const all = { start: "update", graceMs: 86_400_000, ...options } as const;
    return await updateBundles(await openRepository(repo), bucket, all);
  } finally {
    await bucket.close();
  }
}

/** The entries of a chain in a folder, each proved to be there as its table says. */
export function readTableOf(folder: string, filter?: BundleFilter): readonly BundleEntry[] {
  const dir = join(folder, chainFolder(filter));
  const { bundles } = parseTable(readFileSync(join(dir, "bundles.json"), "utf8"), "bundles.json");
  for (const { uri, size, sha256 } of bundles) {
    const file = readFileSync(join(dir, basename(uri)));
    if (file.length !== size) throw new Error(`${uri}: ${file.length} bytes, not ${size}`);
    if (createHash("sha256").update(file).digest("hex") !== sha256) throw new Error(`${uri}: another digest`);
  }
  return bundles;
}

/** The URIs of git's list in a folder, by git's own parser, each proved to be there. */
export function readListOf(folder: string, filter?: BundleFilter): string[] {
  const dir = join(folder, chainFolder(filter));
  const keys = git(["config", "--file", join(dir, "bundle-list"), "--get-regexp", "^bundle\\..*\\.uri$"]);
  const uris = keys.split("\n").map((line) => line.slice(line.indexOf(" ") + 1));
  for (const uri of uris) if (!existsSync(join(dir, basename(uri)))) throw new Error(`${uri} is gone`);
  return uris;
}

/** Unbundles all of a table, in order, by git alone. @returns every object that is there then, sorted */
export function unbundleAll(folder: string, files: readonly string[], ...initArgs: string[]): string[] {
  const repo = tempRepo("--bare", ...initArgs);
  for (const file of files) {
    const tips = git(["bundle", "unbundle", join(folder, file)], { cwd: repo });
    const updates = tips.split("\n").flatMap((line) => {
      const [oid = "", ref = ""] = line.split(" ");
      return ref === "HEAD" ? [] : [`update ${ref} ${oid}\n`];
    });
    git(["update-ref", "--stdin"], { cwd: repo, input: updates.join("") });
  }
  return allObjects(repo);
}

/** Every object that the refs of a repository reach. */
export function allObjects(repo: string): string[] {
  const lines = git(["rev-list", "--objects", "--no-object-names", "--all"], { cwd: repo });
  return lines.split("\n").sort();
}

/** Of this git, as a number that compares: 2.39.5 is 239. */
export const gitVersion: number = (() => {
  const [, major = "0", minor = "0"] = /([0-9]+)\.([0-9]+)/.exec(git(["version"])) ?? [];
  return Number(major) * 100 + Number(minor);
})();
