/** `bundle-list`: git's own list of bundles, in git-config syntax (git's Documentation/technical/bundle-uri). */

import { OdbError } from "../errors.js";
import { runGit } from "../repo/process.js";
import { type BundleEntry, type BundleTable, checkBundleUri, checkedTable } from "./table.js";

/** The bytes of `bundle-list`: all bundles, to be taken by their creation token, which is their timestamp. */
export function formatBundleList(bundles: readonly BundleEntry[]): Buffer {
  const lines = ["[bundle]", "\tversion = 1", "\tmode = all", "\theuristic = creationToken"];
  for (const { uri, timestamp, filter } of bundles) {
    lines.push(`[bundle "${idOf(uri)}"]`, `\turi = ${quoted(uri)}`);
    if (filter !== undefined) lines.push(`\tfilter = ${filter}`);
    lines.push(`\tcreationToken = ${timestamp}`);
  }
  return Buffer.from(`${lines.join("\n")}\n`);
}

/**
 * Reads a bundle list, by git's own parser. With the creation-token heuristic each bundle stands on the one before it.
 *
 * @throws OdbError config, when it is none that we know, or an URI is not absolute http(s)
 */
export async function parseBundleList(text: string, what: string): Promise<BundleTable> {
  const settings = await readSettings(text, what);
  const version = settings.get("bundle.version");
  if (version !== "1") {
    throw new OdbError(
      "config",
      `${what}: ${version === undefined ? "no bundle.version" : `bundle.version ${version}`}: expected 1`,
    );
  }
  const mode = settings.get("bundle.mode") ?? "";
  if (mode !== "all" && mode !== "any") {
    throw new OdbError("config", `${what}: bundle.mode should be all or any`);
  }
  const bundles = entriesOf(settings, what);
  const byToken = settings.get("bundle.heuristic")?.toLowerCase() === "creationtoken";
  return checkedTable({ form: "list", mode, bundles: byToken ? chained(bundles) : bundles }, what);
}

/** Last value of each key. */
async function readSettings(text: string, what: string): Promise<Map<string, string>> {
  const args = ["config", "-z", "--file", "-", "--list"];
  const { stdout } = await runGit(args, { input: text }).catch((error: unknown) => {
    if (error instanceof OdbError && error.code === "aborted") throw error;
    throw new OdbError("config", `${what}: neither JSON nor a bundle list of git`, { cause: error });
  });
  const settings = new Map<string, string>();
  for (const field of stdout.toString().split("\0")) {
    const cut = field.indexOf("\n");
    if (cut > 0) settings.set(field.slice(0, cut), field.slice(cut + 1));
  }
  return settings;
}

function entriesOf(settings: ReadonlyMap<string, string>, what: string): BundleEntry[] {
  const bundles: BundleEntry[] = [];
  for (const [key, uri] of settings) {
    const id = /^bundle\.(.+)\.uri$/s.exec(key)?.[1];
    if (id === undefined) continue;
    const token = settings.get(`bundle.${id}.creationtoken`);
    if (token !== undefined && !/^[0-9]{1,15}$/.test(token)) {
      throw new OdbError("config", `${what}: the creationToken of bundle ${JSON.stringify(id)} is no number`);
    }
    const filter = settings.get(`bundle.${id}.filter`);
    bundles.push({
      uri: checkBundleUri(uri, `${what}: bundle ${JSON.stringify(id)}`),
      ...(token !== undefined && { timestamp: Number(token) }),
      ...(filter !== undefined && { filter }),
    });
  }
  return bundles;
}

function chained(bundles: readonly BundleEntry[]): BundleEntry[] {
  const sorted = bundles.toSorted((a, b) => (a.timestamp ?? 0) - (b.timestamp ?? 0));
  return sorted.map((entry, n) => {
    const below = sorted[n - 1];
    return below === undefined ? entry : { ...entry, requires: below.uri };
  });
}

/** The last part of the URL, as far as it can stand in a section's name. */
function idOf(uri: string): string {
  return (uri.split("/").at(-1) ?? "").replace(/\.bundle$/, "").replace(/[^A-Za-z0-9._-]/g, "-");
}

/** A value in which `#` and `;` begin no comment. */
function quoted(value: string): string {
  return /^[A-Za-z0-9:/._~%?&=+@-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}
