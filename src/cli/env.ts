/** `git odb env`: versions, the ODBs' settings and the environment, fit to be pasted into a report. */

import { platform, release } from "node:os";
import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { readOdbConfigs } from "../odb/config.js";
import { readConfig } from "../repo/config.js";
import { openRepository, type Repository } from "../repo/git.js";
import { runGit } from "../repo/process.js";
import { redact } from "../trace.js";
import { version } from "../version.js";
import type { Context } from "./context.js";
import { findOnPath } from "./path.js";

/** Settings of git that decide what happens to big files. */
const gitKeys =
  /^(?:core\.(?:bigfilethreshold|attributesfile|hookspath)|extensions\.|remote\.odb-|protocol\.odb\.)/;

export function define(command: Command, context: Context): void {
  command.option("--json", "print one JSON object").action(async ({ json }: { json?: boolean }) => {
    const report = await gather();
    if (json) await context.print(`${JSON.stringify(report, undefined, 2)}\n`);
    else await context.print(formatText(report));
  });
}

/** What is printed; `--json` gives it as it is. */
interface Report {
  readonly versions: Readonly<Record<string, string>>;
  readonly repository?: { readonly path: string; readonly gitDir: string; readonly hash: string };
  readonly config: readonly { readonly key: string; readonly value: string }[];
  readonly helpers: Readonly<Record<string, string | null>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

async function gather(): Promise<Report> {
  const { stdout } = await runGit(["version"]);
  const repo = await openRepository().catch(noRepository);
  return {
    versions: {
      "git-odb": version,
      node: process.version,
      git: stdout.toString().trim().replace("git version ", ""),
      system: `${platform()} ${release()} ${process.arch}`,
    },
    ...(repo && {
      repository: { path: repo.workTree ?? repo.gitDir, gitDir: repo.gitDir, hash: repo.hash },
    }),
    ...(repo ? await settings(repo) : { config: [], warnings: [] }),
    helpers: Object.fromEntries(
      ["git-odb", "git-odb-helper-file", "git-odb-helper-http", "git-odb-helper-s3", "git-remote-odb"].map(
        (command) => [command, findOnPath(command) ?? null],
      ),
    ),
    environment: environment(),
  };
}

function noRepository(error: unknown): undefined {
  if (error instanceof OdbError && error.code === "config") return undefined;
  throw error;
}

async function settings(repo: Repository): Promise<Pick<Report, "config" | "warnings">> {
  const entries = await readConfig(repo);
  const { warnings } = await readOdbConfigs(repo, entries);
  const config = entries
    .filter(({ key }) => key.startsWith("odb.") || gitKeys.test(key))
    .map(({ key, value }) => ({ key, value: redact(value ?? "true") }));
  return { config, warnings };
}

/** Variables that change what git or we do. Of credentials only that they are set. */
function environment(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value = ""] of Object.entries(process.env).sort()) {
    if (/^(?:AWS_(?:SECRET|SESSION|ACCESS)|.*(?:PASSWORD|TOKEN|SECRET))/.test(name)) found[name] = "(set)";
    else if (/^(?:GIT_|AWS_|XDG_CACHE_HOME$|NODE_OPTIONS$|https?_proxy$)/i.test(name)) {
      found[name] = redact(value);
    }
  }
  return found;
}

function formatText(report: Report): string {
  const lines = Object.entries(report.versions).map(([name, text]) => `${name} ${text}`);
  const { repository } = report;
  lines.push(`repository ${repository ? `${repository.path} (${repository.hash})` : "none here"}`);
  for (const [command, path] of Object.entries(report.helpers)) {
    lines.push(`${command}: ${path ?? "not on PATH"}`);
  }
  lines.push(...report.config.map(({ key, value }) => `config ${key}=${value}`));
  lines.push(...Object.entries(report.environment).map(([name, value]) => `environment ${name}=${value}`));
  lines.push(...report.warnings.map((text) => `warning: ${text}`));
  return lines.map((line) => `${line}\n`).join("");
}
