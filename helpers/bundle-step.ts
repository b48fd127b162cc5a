/** The restartable clone: what `refs/odbs/<name>/bundle` points to is downloaded and unbundled, once a ref value. */

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { claimLock } from "../src/bucket/file-lock.js";
import { ifAbsent } from "../src/bundle/download.js";
import { downloadPatiently } from "../src/bundle/patience.js";
import { isTransient, OdbError, toOdbError } from "../src/errors.js";
import { isObjectId } from "../src/object/id.js";
import type { Odb } from "../src/odb/session.js";
import { mayHaveRef } from "../src/repo/ref-files.js";
import { updateRefs } from "../src/repo/update-ref.js";

/** A blob that names a bundle is no larger than any metadata blob may be. */
const REF_BLOB_LIMIT = 4096;

/** After a failure that may pass, the next try waits this long: helpers start often. In milliseconds. */
const RETRY_AFTER = 60_000;

/** A claim of a process that cannot be asked about counts as abandoned after this long. In milliseconds. */
const ABANDONED_AFTER = 10 * 60_000;

/** How much is done for a bundle at once. */
export interface Patience {
  /** Of the download, each of which goes on where the one before broke off. A helper has one: it starts often. */
  readonly tries: number;
  readonly signal?: AbortSignal;
}

/**
 * Downloads and unbundles, if there is a bundle ref whose value has not been dealt with. A bundle only saves work: what
 * goes wrong is told, and git fetches the objects itself.
 *
 * A download that breaks off goes on where it stopped at a later run. A bundle that is refused (wrong bytes, no http
 * URL, too large) is not tried again until the ref changes.
 */
export async function runBundleStep(
  odb: Odb,
  warn: (line: string) => void,
  patience: Patience = { tries: 1 },
): Promise<void> {
  const ref = `refs/odbs/${odb.name}/bundle`;
  if (!mayHaveRef(odb.repo, ref)) return;
  const value = await odb.repo.text(["rev-parse", "--quiet", "--verify", ref], { okStatus: [0, 1] });
  const mark = join(odb.directory, "bundle");
  if (value === "" || (await isDealtWith(mark, value))) return;
  const folder = `${mark}.download`;
  // One process at a time; another one does without the bundle.
  const claim = await claimLock(`${mark}.claimed`, ABANDONED_AFTER);
  if (claim === undefined) return;
  try {
    await fetchBundle(odb, value, folder, warn, patience);
    await writeFile(mark, `${value} done\n`);
    await rm(folder, { recursive: true, force: true });
  } catch (cause) {
    const error = toOdbError(cause);
    const again = isTransient(error) || error.code === "aborted";
    warn(`bundle of ODB "${odb.name}": ${error.message}${again ? "; a later run goes on with it" : ""}`);
    await writeFile(mark, `${value} ${again ? `failed ${Date.now()}` : "refused"}\n`);
    if (!again) await rm(folder, { recursive: true, force: true });
  } finally {
    await claim.release();
  }
}

/** The URL in a bundle ref's blob: `bundle url: <url>` LF. @throws OdbError invalid, unless it is plain http(s) */
export function parseBundleBlob(text: string): string {
  const written = /^bundle url: (\S+)\n?$/.exec(text)?.[1];
  const url = written !== undefined && URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined) throw new OdbError("invalid", 'its blob does not say "bundle url: <url>"');
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new OdbError("invalid", `${url.protocol} URLs are not followed: only http and https`);
  }
  if (url.username !== "" || url.password !== "") throw new OdbError("invalid", "its URL holds a credential");
  return url.href;
}

async function isDealtWith(mark: string, value: string): Promise<boolean> {
  const text = await readFile(mark, "utf8").catch(ifAbsent(""));
  const [seen, state, time] = text.trim().split(" ");
  if (seen !== value) return false;
  return state !== "failed" || Date.now() - Number(time) < RETRY_AFTER;
}

async function fetchBundle(
  odb: Odb,
  value: string,
  folder: string,
  warn: (line: string) => void,
  patience: Patience,
): Promise<void> {
  const size = Number(await odb.repo.text(["cat-file", "-s", value]));
  if (size > REF_BLOB_LIMIT) throw new OdbError("invalid", `its blob is larger than ${REF_BLOB_LIMIT} bytes`);
  const url = parseBundleBlob((await odb.repo.run(["cat-file", "blob", value])).stdout.toString());
  warn(`fetching bundle ${url}`);
  const file = await downloadPatiently(url, folder, patience);
  let tips: string;
  try {
    // unbundle indexes the pack, which proves every object's bytes; verify, that nothing is missing beneath it.
    await odb.repo.run(["bundle", "verify", file]);
    tips = (await odb.repo.run(["bundle", "unbundle", file])).stdout.toString();
  } catch (error) {
    throw new OdbError("integrity", `${url}: ${toOdbError(error).message}`, { cause: error });
  }
  await keepTips(odb, tips);
}

/**
 * Keeps the bundle's tips as `refs/bundles/odb-<name>/*` (git's own place for them): the fetch that follows tells the server
 * what the refs reach, and is sent the rest alone.
 *
 * @param tips `<oid> <ref>` lines, as `git bundle unbundle` prints them
 */
async function keepTips(odb: Odb, tips: string): Promise<void> {
  const updates = [];
  for (const line of tips.split("\n")) {
    const [oid = "", ref = ""] = line.split(" ");
    const name = ref.replace(/^refs\//, "");
    if (isObjectId(oid) && name !== "") updates.push({ ref: `refs/bundles/odb-${odb.name}/${name}`, oid });
  }
  await updateRefs(odb.repo, updates);
  // A clone that runs has read its loose refs before it started us, and looks again at packed-refs only. A failure (a
  // lock) costs no more than the saving.
  await odb.repo.run(["pack-refs", "--all"], { okStatus: [0, 1, 128] });
}
