/** `git odb doctor`: looks for what is wrong, and says the command that mends it. Exit 1 when something is. */

import type { Command } from "commander";
import { OdbError, toOdbError } from "../errors.js";
import { readOdbConfigs } from "../odb/config.js";
import { readConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import { redact } from "../trace.js";
import type { Context } from "./context.js";
import { checkConfig } from "./doctor-config.js";
import { type Check, type Finding, type Patient, quoted } from "./doctor-finding.js";
import { checkPromises } from "./doctor-promise.js";
import { checkServer } from "./doctor-server.js";
import { checkStores } from "./doctor-store.js";
import { checkTools } from "./doctor-tools.js";
import { checkUse } from "./doctor-use.js";

/** In the order of the report: what comes first often explains what comes later. */
const checks: readonly (readonly [string, Check])[] = [
  ["config", checkConfig],
  ["store", checkStores],
  ["promise", checkPromises],
  ["server", checkServer],
  ["use", checkUse],
];

export function define(command: Command, context: Context): void {
  command
    .option("--json", "print one JSON object a finding, a line each")
    .option("-q, --quiet", "print only what is wrong")
    .action((options: Options) => doctor(options, context));
}

interface Options {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

async function doctor(options: Options, context: Context): Promise<void> {
  let bad = 0;
  for await (const found of examine(context)) {
    if (found.state === "bad") bad += 1;
    if (options.quiet && found.state !== "bad") continue;
    const finding = { ...found, message: redact(found.message) };
    await context.print(options.json ? `${JSON.stringify(finding)}\n` : formatText(finding));
  }
  if (bad > 0) process.exitCode = 1;
}

async function* examine({ signal }: Context): AsyncGenerator<Finding> {
  yield* checkTools();
  const repo = await openRepository().catch(noRepository);
  if (repo === undefined) {
    yield { check: "repository", state: "advice", message: "there is no repository here to look at" };
    return;
  }
  const patient = await admit(repo, signal);
  if ("check" in patient) {
    yield patient;
    return;
  }
  if (patient.odbs.size === 0) {
    const message = `${repo.name} has no ODB`;
    yield { check: "config", state: "advice", message, fix: "git odb init <name> <url>" };
  }
  for (const [name, check] of checks) yield* guarded(name, check(patient), signal);
}

/** Settings that cannot be understood stop every other command, too. */
async function admit(repo: Repository, signal: AbortSignal): Promise<Patient | Finding> {
  const entries = await readConfig(repo);
  try {
    return { repo, entries, odbs: (await readOdbConfigs(repo, entries)).odbs, signal };
  } catch (error) {
    if (error instanceof OdbError && error.code === "config") {
      const key = /^config (\S+?):? /.exec(error.message)?.[1];
      const fix = key === undefined ? "git config --edit" : `git config --unset-all ${quoted(key)}`;
      return { check: "config", state: "bad", message: error.message, fix };
    }
    throw error;
  }
}

/** A check that cannot look is a finding, and the others go on. */
async function* guarded(check: string, findings: AsyncIterable<Finding>, signal: AbortSignal) {
  try {
    yield* findings;
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = toOdbError(error);
    if (code === "bug") throw error;
    yield { check, state: "bad", message } satisfies Finding;
  }
}

function formatText({ state, message, fix }: Finding): string {
  const line = `${{ ok: "ok", advice: "advice", bad: "BAD" }[state].padEnd(7)} ${message}\n`;
  return fix === undefined ? line : `${line}        -> ${fix}\n`;
}

function noRepository(error: unknown): undefined {
  if (error instanceof OdbError && error.code === "config") return undefined;
  throw error;
}
