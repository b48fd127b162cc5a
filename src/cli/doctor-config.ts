/** `git odb doctor`: the settings, ours and git's own, and the traps among them. */

import { readOdbConfigs } from "../odb/config.js";
import {
  isRefusedInSubmodule,
  promisorRemoteName,
  promisorRemotes,
  remoteUrlOf,
} from "../odb/promisor-remote.js";
import { parseConfigBoolean, parseConfigSize } from "../repo/config.js";
import { commandIn, configValue, type Finding, type Patient, quoted } from "./doctor-finding.js";
import { checkCommand } from "./doctor-tools.js";

/** Above it the reference client sends wrong bytes in script mode. */
const SCRIPT_LIMIT = 8 * 1024 * 1024;

export async function* checkConfig(patient: Patient): AsyncGenerator<Finding> {
  const { repo, entries, odbs } = patient;
  const { warnings } = await readOdbConfigs(repo, entries);
  for (const message of warnings) {
    const fix = commandIn(message);
    yield { check: "config", state: "bad", message, ...(fix !== undefined && { fix }) };
  }
  const programs = new Set<string>();
  for (const { subprocessCommand, scriptCommand, mode, name } of odbs.values()) {
    const program = (mode === "script" ? scriptCommand : subprocessCommand)?.split(" ", 1)[0];
    if (program !== undefined) programs.add(program);
    yield* checkPromisorRemote(name, patient);
  }
  for (const program of programs) yield checkCommand(program);
  yield* checkOrder(patient);
  yield* checkProtocol(patient);
  yield* checkThreshold(patient);
}

/** The remote by which a stock git asks the ODB. */
function* checkPromisorRemote(name: string, patient: Patient): Generator<Finding> {
  const remote = promisorRemoteName(name);
  const check = "promisor";
  const stores = patient.odbs.get(name)?.urls.map(quoted).join(" ") || "<url>";
  const again = `git odb init ${name} ${stores}`;
  const url = configValue(patient, `remote.${remote}.url`);
  const isPromisor = configValue(patient, `remote.${remote}.promisor`);
  if (
    url === undefined ||
    isPromisor === undefined ||
    !parseConfigBoolean(`remote.${remote}.promisor`, isPromisor)
  ) {
    const message = `${remote} is no promisor remote: git fetches nothing from ODB ${name} by itself`;
    yield { check, state: "bad", message, fix: again };
    return;
  }
  const urls = patient.odbs.get(name)?.urls ?? [];
  if (![`odb::odb:${name}`, ...urls.slice(0, 1).map(remoteUrlOf)].includes(url)) {
    const message = `remote.${remote}.url is ${url}, but odb.${name}.url is ${urls.join(" ") || "not set"}`;
    yield { check, state: "bad", message, fix: again };
    return;
  }
  for (const [key, value] of [
    ["partialCloneFilter", "blob:none"],
    ["skipFetchAll", "true"],
    ["skipDefaultUpdate", "true"],
  ] as const) {
    const full = `remote.${remote}.${key}`;
    if (configValue(patient, full.toLowerCase().replace(remote.toLowerCase(), remote)) !== undefined)
      continue;
    yield { check, state: "advice", message: `${full} is not set`, fix: `git config ${full} ${value}` };
  }
  yield { check, state: "ok", message: `git asks ${remote} for what is missing` };
}

/** A server that lacks one of a batch gives none of it, so the ODBs must be asked first. */
function* checkOrder(patient: Patient): Generator<Finding> {
  const all = promisorRemotes(patient.entries);
  const ours = new Set([...patient.odbs.keys()].map(promisorRemoteName));
  const last = configValue(patient, "extensions.partialclone");
  const check = "order";
  if (last !== undefined && ours.has(last) && all.some((remote) => !ours.has(remote))) {
    const other = all.find((remote) => !ours.has(remote));
    const message = `extensions.partialClone is ${last}, so git asks it after ${other}`;
    yield { check, state: "bad", message, fix: `git config extensions.partialClone ${other}` };
    return;
  }
  const lastOurs = all.findLastIndex((remote) => ours.has(remote));
  const early = all.find((remote, at) => !ours.has(remote) && remote !== last && at < lastOurs);
  if (early === undefined) return;
  const message = `git asks ${early} for big files before it asks the ODBs`;
  yield { check, state: "bad", message, fix: `git config extensions.partialClone ${early}` };
}

async function* checkProtocol(patient: Patient): AsyncGenerator<Finding> {
  const check = "protocol";
  const key =
    configValue(patient, "protocol.odb.allow") === undefined ? "protocol.allow" : "protocol.odb.allow";
  if (patient.odbs.size === 0) return;
  if (configValue(patient, key) === "never") {
    const message = `${key} is never, so git does not start git-remote-odb`;
    yield { check, state: "bad", message, fix: "git config protocol.odb.allow always" };
  } else if (await isRefusedInSubmodule(patient.repo)) {
    const message =
      "this is a submodule: git commands of the repository above it do not start git-remote-odb";
    yield { check, state: "advice", message, fix: "git config protocol.odb.allow always" };
  }
}

function* checkThreshold(patient: Patient): Generator<Finding> {
  if (![...patient.odbs.values()].some(({ mode }) => mode === "script")) return;
  const key = "core.bigfilethreshold";
  const limit = parseConfigSize(key, configValue(patient, key) ?? "512m");
  if (limit <= SCRIPT_LIMIT) return;
  const message =
    "core.bigFileThreshold is above 8m: a git with ODB support sends wrong bytes to a script helper";
  yield { check: "config", state: "bad", message, fix: "git config core.bigFileThreshold 8m" };
}
