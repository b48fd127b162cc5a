/** What a repository remembers of bundles: its table, how far it has come, and downloads that were broken off. */

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isOwnerGone, ownedName } from "../bucket/owner.js";
import { OdbError, toOdbError } from "../errors.js";
import { getConfig, setConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import { ifAbsent } from "./download.js";
import type { BundleTable } from "./table.js";

/** The URL of the table that `git odb bundle fetch` reads. */
const tableKey = "bundle.tableOfContents";

/** The timestamp up to which all bundles of a `bundles.json` are in the repository. */
const timestampKey = "bundle.latestTimestamp";

/** git's own keys (git-config(1), git 2.40 and later): with these its `git fetch` goes on from where we stopped. */
const uriKey = "fetch.bundleURI";
const tokenKey = "fetch.bundleCreationToken";

/** The table that was read last, by us or, as its bundle list, by git. */
export async function rememberedTable(repo: Repository): Promise<string | undefined> {
  return (await getConfig(repo, tableKey)) ?? (await getConfig(repo, uriKey));
}

/** How far the repository has come with this table; 0 when it is another than before. */
export async function readMark(repo: Repository, url: string, { form }: BundleTable): Promise<number> {
  const [before, key] = form === "json" ? [tableKey, timestampKey] : [uriKey, tokenKey];
  if ((await getConfig(repo, before)) !== url) return 0;
  const mark = Number((await getConfig(repo, key)) ?? 0);
  return Number.isSafeInteger(mark) && mark > 0 ? mark : 0;
}

/** Remembers how far it has come: only what is in the repository. */
export async function writeMark(
  repo: Repository,
  url: string,
  table: BundleTable,
  mark: number,
): Promise<void> {
  const isList = table.form === "list";
  if ((await getConfig(repo, tableKey)) !== url) {
    // A mark belongs to its table: none is ever seen beside another's URL.
    await unset(repo, timestampKey);
    await setConfig(repo, tableKey, url);
  }
  if (isList && (await getConfig(repo, uriKey)) !== url) {
    await unset(repo, tokenKey);
    await setConfig(repo, uriKey, url);
  }
  if (mark > 0) await setConfig(repo, isList ? tokenKey : timestampKey, String(mark));
}

/** A folder for downloads, ours alone while this process lives. */
export interface Workplace extends AsyncDisposable {
  /** Where a bundle's file is, or a part of it from before. */
  folderOf(uri: string): string;
}

/**
 * Takes the repository's folder for bundles; what a killed process left there is gone on with.
 *
 * @throws OdbError conflict, when another process is at it
 */
export async function openWorkplace(repo: Repository): Promise<Workplace> {
  const folder = join(repo.commonDir, "odb-bundles");
  const claim = join(folder, "claimed");
  await mkdir(folder, { recursive: true }).catch(rethrow);
  if (!(await take(claim))) {
    const owner = await readFile(claim, "utf8").catch(ifAbsent(""));
    if (isOwnerGone(owner.trim()) !== true) {
      throw new OdbError("conflict", `another git odb bundle is at work here; if it is not, remove ${claim}`);
    }
    await rm(claim, { force: true });
    if (!(await take(claim))) throw new OdbError("conflict", "another git odb bundle has just begun here");
  }
  return {
    folderOf: (uri) => join(folder, createHash("sha256").update(uri).digest("hex").slice(0, 32)),
    async [Symbol.asyncDispose]() {
      await rm(claim, { force: true });
    },
  };
}

async function take(claim: string): Promise<boolean> {
  try {
    await writeFile(claim, ownedName(), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw toOdbError(error);
  }
}

async function unset(repo: Repository, key: string): Promise<void> {
  // 5: it is not set.
  await repo.run(["config", "--local", "--unset-all", key], { okStatus: [0, 5] });
}

function rethrow(error: unknown): never {
  throw toOdbError(error);
}
