/** The repository's folder for bundles: parts of downloads, and what is known of bundles that the mark cannot tell. */

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { claimLock } from "../bucket/file-lock.js";
import { OdbError, toOdbError } from "../errors.js";
import type { Repository } from "../repo/git.js";
import { ifAbsent, versionIn } from "./download.js";
import type { BundleEntry } from "./table.js";

/** What an earlier run has found out about a bundle. */
export type Verdict =
  | { readonly kind: "taken" }
  /** `version`: the etag of the bad file, empty where the server names none. */
  | { readonly kind: "refused"; readonly version: string; readonly why: string };

/** A folder for downloads, ours alone while this process lives. */
export interface Workplace extends AsyncDisposable {
  /** Where a bundle's file is, or a part of it from before. */
  folderOf(entry: BundleEntry): string;
  /** Of the very bundle that the table means. @returns undefined when there is none */
  verdict(entry: BundleEntry): Promise<Verdict | undefined>;
  /** Throws away what was downloaded, and remembers that the bundle is in. */
  setTaken(entry: BundleEntry): Promise<void>;
  /** Throws away what was downloaded, and remembers that this file is of no use. */
  setRefused(entry: BundleEntry, why: string): Promise<void>;
  /** Forgets the bundle. */
  forget(entry: BundleEntry): Promise<void>;
  /** Throws away all but what belongs to these. */
  keepOnly(entries: readonly BundleEntry[]): Promise<void>;
}

/**
 * Takes the repository's folder for bundles; what a killed process left there is gone on with.
 *
 * @throws OdbError conflict, when another process is at it
 */
export async function openWorkplace(repo: Repository): Promise<Workplace> {
  const folder = join(repo.commonDir, "odb-bundles");
  const claim = join(folder, CLAIM);
  await mkdir(folder, { recursive: true }).catch(rethrow);
  const lock = await claimLock(claim).catch(rethrow);
  if (lock === undefined) {
    throw new OdbError("conflict", `another git odb bundle is at work here; if it is not, remove ${claim}`);
  }
  const folderOf = ({ uri }: BundleEntry) => join(folder, nameOf(uri));
  const forget = (entry: BundleEntry) => rm(folderOf(entry), { recursive: true, force: true });
  const remember = async (entry: BundleEntry, verdict: Verdict) => {
    await forget(entry);
    await mkdir(folderOf(entry), { recursive: true }).catch(rethrow);
    const text = JSON.stringify({ of: identityOf(entry), ...verdict });
    await writeFile(join(folderOf(entry), VERDICT), text).catch(rethrow);
  };
  return {
    folderOf,
    forget,
    verdict: (entry) => readVerdict(folderOf(entry), entry),
    setTaken: (entry) => remember(entry, { kind: "taken" }),
    async setRefused(entry, why) {
      await remember(entry, { kind: "refused", version: await versionIn(folderOf(entry)), why });
    },
    async keepOnly(entries) {
      const kept = new Set([CLAIM, `${CLAIM}.recover`, ...entries.map(({ uri }) => nameOf(uri))]);
      for (const name of await readdir(folder)) {
        if (!kept.has(name)) await rm(join(folder, name), { recursive: true, force: true });
      }
    },
    [Symbol.asyncDispose]: lock.release,
  };
}

const CLAIM = "claimed";
const VERDICT = "verdict.json";

function nameOf(uri: string): string {
  return createHash("sha256").update(uri).digest("hex").slice(0, 32);
}

/** A table that says otherwise means another file. */
function identityOf({ size, sha256 }: BundleEntry): string {
  return `${size ?? ""} ${sha256 ?? ""}`;
}

async function readVerdict(folder: string, entry: BundleEntry): Promise<Verdict | undefined> {
  const text = await readFile(join(folder, VERDICT), "utf8").catch(ifAbsent(""));
  try {
    const { of, ...verdict } = JSON.parse(text) as Verdict & { of: string };
    return of === identityOf(entry) ? verdict : undefined;
  } catch {
    // None, or a run was killed while it wrote it: then nothing is known.
    return undefined;
  }
}

function rethrow(error: unknown): never {
  throw toOdbError(error);
}
