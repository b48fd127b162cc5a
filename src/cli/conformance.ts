/** `git odb conformance helper|store`: runs the contracts on anybody's helper or store, case by case. */

import { type Command, Option } from "commander";
import type { HelperMode } from "../conformance/helper-lab.js";
import {
  type CaseResult,
  formatCase,
  formatReport,
  formatSummary,
  type Report,
  type ReportFormat,
  runHelperConformance,
} from "../conformance/index.js";
import { OdbError } from "../errors.js";
import { parseObjectId } from "../object/id.js";
import { readOdbConfig } from "../odb/config.js";
import { openRepository } from "../repo/git.js";
import { runStoreConformance } from "./conformance-store.js";
import type { Context } from "./context.js";

interface FormatOptions {
  readonly tap?: boolean;
  readonly json?: boolean;
  readonly only?: string[];
}

interface HelperOptions extends FormatOptions {
  readonly mode: HelperMode;
  readonly oid?: string;
  readonly repository?: string;
  readonly timeout: string;
}

export function define(command: Command, context: Context): void {
  const helper = command
    .command("helper")
    .summary("test a helper command")
    .description("Test a helper command, in any language, as git would drive it.")
    .argument("<command>", "as in odb.<name>.subprocessCommand, in quotes; paths in it absolute")
    .addOption(
      new Option("--mode <mode>", "one process a session, or one an instruction")
        .choices(["process", "script"])
        .default("process"),
    )
    .option("--oid <oid>", "a blob that the helper has, for one that takes none")
    .option("--repository <folder>", "run the helper in this repository instead of a scratch one")
    .option("--timeout <seconds>", "how long one answer may take", "30")
    .action((line: string, options: HelperOptions) => testHelper(line, options, context));
  const store = command
    .command("store")
    .summary("test a store")
    .description(
      "Test a store. It puts random objects of up to 20 MiB there and leaves them: give it an empty one.",
    )
    .argument("<url>", "the store")
    .option("--force", "run on a store that holds objects already")
    .action((url: string, options: FormatOptions & { force?: boolean }) => testStore(url, options, context));
  for (const each of [helper, store]) {
    each
      .addOption(new Option("--tap", "report as TAP").conflicts("json"))
      .option("--json", "report as one JSON object")
      .option("--only <case...>", "run these cases only");
  }
}

async function testHelper(line: string, options: HelperOptions, context: Context): Promise<void> {
  const seconds = /^[0-9]{1,5}$/.test(options.timeout) ? Number(options.timeout) : 0;
  if (seconds < 1) {
    throw new OdbError("invalid", `--timeout=${options.timeout}: expected a number of seconds, at least 1`);
  }
  const { mode, oid, repository, only } = options;
  const cwd = repository && (await openRepository(repository)).name;
  const show = shower(options, context);
  const report = await runHelperConformance(line, {
    mode,
    timeoutMs: seconds * 1000,
    onCase: show.onCase,
    ...(oid && { oid: parseObjectId(oid) }),
    ...(cwd && { cwd }),
    ...(only && { only }),
  });
  await show.end(report);
  if (report.failed > 0 && cwd === undefined) await explainScratch(line, context);
}

/** A helper that reads its configuration in a repository finds none in the scratch one. */
async function explainScratch(line: string, context: Context): Promise<void> {
  const repo = await openRepository().catch(() => undefined);
  const name = /--name[= ]+([A-Za-z0-9_-]+)/.exec(line)?.[1];
  if (repo === undefined || name === undefined || !(await readOdbConfig(repo)).has(name)) return;
  context.warn(
    `the helper ran in a scratch repository, where ODB "${name}" of ${repo.name} is not configured: --repository . runs it here`,
  );
}

async function testStore(
  url: string,
  options: FormatOptions & { force?: boolean },
  context: Context,
): Promise<void> {
  const show = shower(options, context);
  const { force = false, only } = options;
  const { signal } = context;
  await show.end(
    await runStoreConformance(url, { force, onCase: show.onCase, signal, ...(only && { only }) }),
  );
}

/** Text appears as the cases end, the other formats at the end, whole. A failed case makes exit code 1. */
function shower(options: FormatOptions, context: Context) {
  const format: ReportFormat = options.tap ? "tap" : options.json ? "json" : "text";
  let shown = Promise.resolve();
  const print = (text: string) => {
    shown = shown.then(() => context.print(text));
    // Awaited in `end`; until then a closed stdout must not count as unhandled.
    shown.catch(() => {});
  };
  return {
    onCase(result: CaseResult): void {
      context.signal.throwIfAborted();
      if (format === "text") print(`${formatCase(result)}\n`);
    },
    async end(report: Report): Promise<void> {
      print(format === "text" ? `${formatSummary(report)}\n` : formatReport(report, format));
      await shown;
      if (report.failed > 0) process.exitCode = 1;
      if (report.passed + report.failed === 0) throw new OdbError("invalid", "no case was run: check --only");
    },
  };
}
