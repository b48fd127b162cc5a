/** `git odb doctor`: whether what belongs in an ODB gets there: attributes, queue, hooks, left-overs of another git. */

import { join } from "node:path";
import { hasExternal } from "../odb/external.js";
import { bucketRemotes } from "../odb/promisor-remote.js";
import { publishedRef, readPublished } from "../odb/published.js";
import { readQueue } from "../odb/queue.js";
import { stateDirectory } from "../odb/state.js";
import { selectedPaths } from "../odb/survey.js";
import { hasConfigHook, runsConfigHooks } from "../repo/config-hook.js";
import { hookHealth, hookPlace } from "../repo/hooks.js";
import { type Finding, type Patient, quoted } from "./doctor-finding.js";
import { hookCommand, hookLine, hookManager } from "./hook-managers.js";
import { prePushHook } from "./install.js";

export async function* checkUse(patient: Patient): AsyncGenerator<Finding> {
  yield* checkAttributes(patient);
  yield* checkQueues(patient);
  yield* checkPublished(patient);
  if (patient.odbs.size > 0 && !patient.repo.bare && !pushesToBuckets(patient))
    yield await checkHook(patient);
  yield* checkExternal(patient);
}

/** A push to a repository in a bucket takes the big files along. */
function pushesToBuckets({ entries }: Patient): boolean {
  return bucketRemotes(entries).size > 0;
}

/** Paths that no configured ODB takes. */
async function* checkAttributes(patient: Patient): AsyncGenerator<Finding> {
  const { repo, odbs } = patient;
  const check = "attributes";
  const lines: string[] = [];
  const unknown = new Map<string, number>();
  for await (const { odb } of selectedPaths(repo, odbs, (line) => lines.push(line))) {
    if (!odbs.has(odb)) unknown.set(odb, (unknown.get(odb) ?? 0) + 1);
  }
  for (const message of lines) yield { check, state: "bad", message };
  if (pushesToBuckets(patient)) return;
  for (const [odb, count] of unknown) {
    const message = `.gitattributes gives ${count} paths to ODB ${JSON.stringify(odb)}, which is not configured`;
    yield { check, state: "bad", message, fix: `git odb init ${odb} <url>` };
  }
}

async function* checkQueues({ repo, odbs }: Patient): AsyncGenerator<Finding> {
  for (const name of odbs.keys()) {
    const { length } = await readQueue(stateDirectory(repo, name));
    if (length === 0) continue;
    const message = `${length} objects wait for ODB ${name}`;
    yield { check: "queue", state: "bad", message, fix: `git odb put --queued ${name}` };
  }
}

/** What clones are told, against what is used here. */
async function* checkPublished({ repo, odbs }: Patient): AsyncGenerator<Finding> {
  for (const [name, { minSize }] of odbs) {
    const published = await readPublished(repo, name).catch((error: Error) => error);
    const check = "published";
    const fix = `git odb init --publish ${name} && git push <remote> +${publishedRef(name)}`;
    if (published instanceof Error) yield { check, state: "bad", message: published.message, fix };
    else if (published !== undefined && published.minSize !== minSize) {
      const message = `clones select blobs for ODB ${name} from ${published.minSize ?? "no"} bytes on, this one from ${minSize ?? "no"}`;
      yield { check, state: "advice", message, fix };
    }
  }
}

async function checkHook({ repo, entries }: Patient): Promise<Finding> {
  const { path, shared } = await hookPlace(repo, "pre-push");
  const check = "hook";
  if (hasConfigHook(entries, "pre-push", hookCommand) && (await runsConfigHooks())) {
    return { check, state: "ok", message: "a hook of the config sends big files before a push" };
  }
  const health = await hookHealth(path, prePushHook, hookCommand);
  if (health === undefined) {
    const message = "git push does not send big files to the stores by itself";
    return {
      check,
      state: "advice",
      message,
      fix: shared ? `add to ${path}: ${hookLine}` : "git odb install",
    };
  }
  if (!health.runs) {
    const message = `${path} is not executable, so git passes it over`;
    return { check, state: "bad", message, fix: `chmod +x ${quoted(path)}` };
  }
  const manager = await hookManager(repo, path);
  if (manager?.does || health.does)
    return { check, state: "ok", message: `${path} sends big files before a push` };
  if (manager !== undefined) {
    const message = `${path} is of ${manager.name}, and sends no big files`;
    return { check, state: "advice", message, fix: manager.advice };
  }
  const message = `${path} is a hook of yours that sends no big files`;
  return { check, state: "advice", message, fix: `add to it: ${hookLine}` };
}

/** What a git with ODB support has fetched, which no other git sees. */
async function* checkExternal({ repo }: Patient): AsyncGenerator<Finding> {
  if (!(await hasExternal(repo))) return;
  const message = `${join(repo.objectsDir, "external")} holds objects that only a git with ODB support sees`;
  yield { check: "external", state: "advice", message, fix: "git odb fetch" };
}
