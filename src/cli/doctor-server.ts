/** `git odb doctor`: a bare repository that keeps no big blobs itself: its settings, its hook, and that its refs are seen. */

import { PROMISE_PREFIX, promiseRef } from "../odb/promise.js";
import { isServerOdb, preReceiveAdvice, preReceiveHook, serverSettings } from "../odb/server.js";
import { hookHealth, hookPlace } from "../repo/hooks.js";
import { configValue, type Finding, type Patient, quoted } from "./doctor-finding.js";

export async function* checkServer(patient: Patient): AsyncGenerator<Finding> {
  const { repo, entries, odbs } = patient;
  const names = [...odbs.keys()].filter((name) => isServerOdb(entries, name));
  if (!repo.bare || names.length === 0) return;
  const check = "server";
  for (const { key, value, without } of serverSettings) {
    if (configValue(patient, key.toLowerCase()) === value) continue;
    const message = `${key} is not ${value}: ${without}`;
    yield { check, state: "bad", message, fix: `git config ${key} ${value}` };
  }
  yield* checkHook(patient, names);
  yield* checkHidden(patient, names);
}

async function* checkHook({ repo }: Patient, names: readonly string[]): AsyncGenerator<Finding> {
  const { path, shared } = await hookPlace(repo, "pre-receive");
  const health = await hookHealth(path, preReceiveHook, PROMISE_PREFIX);
  const check = "server";
  if (health === undefined) {
    const message = `nothing refuses pushes to ${PROMISE_PREFIX}*: a client could promise what no store has`;
    const fix = shared
      ? `make ${path}, with: ${preReceiveAdvice}`
      : `git odb init --server ${names[0] ?? "<name>"}`;
    yield { check, state: "bad", message, fix };
  } else if (!health.runs) {
    const message = `${path} is not executable, so git passes it over`;
    yield { check, state: "bad", message, fix: `chmod +x ${quoted(path)}` };
  } else if (health.does) {
    yield { check, state: "ok", message: `${path} refuses pushes to ${PROMISE_PREFIX}*` };
  } else {
    const message = `${path} is a hook of yours: see that it refuses pushes to ${PROMISE_PREFIX}*`;
    yield { check, state: "advice", message, fix: `add to it: ${preReceiveAdvice}` };
  }
}

/** Clients leave out of a push what an advertised tree names; they do not see it when it is hidden. */
function* checkHidden({ entries }: Patient, names: readonly string[]): Generator<Finding> {
  for (const name of names) {
    const ref = promiseRef(name);
    // The last that fits counts (git-config(1), transfer.hideRefs).
    const last = entries.findLast(
      ({ key, value }) => isHideRefs(key) && value !== undefined && fits(value, ref),
    );
    if (last?.value === undefined || last.value.startsWith("!")) continue;
    const message = `${last.key} hides ${ref}, so clients push the blobs of ODB ${name} again and again`;
    yield { check: "server", state: "bad", message, fix: `git config --add ${last.key} '!${ref}'` };
  }
}

function isHideRefs(key: string): boolean {
  return /^(?:transfer|receive|uploadpack)\.hiderefs$/.test(key);
}

function fits(value: string, ref: string): boolean {
  const prefix = value.replace(/^!?\^?/, "").replace(/\/+$/, "");
  return `${ref}/`.startsWith(`${prefix}/`);
}
