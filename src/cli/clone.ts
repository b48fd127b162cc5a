/** `git odb clone <url> [<dir>]`: clones a repository and connects it to the ODBs that it tells of. */

import type { Command } from "commander";
import { runBundleStep } from "../../helpers/bundle-step.js";
import { OdbError } from "../errors.js";
import { parseAcceptance } from "../odb/trust.js";
import { cloneRepository } from "../remote/clone.js";
import { cloneUrl } from "../remote/clone-url.js";
import { folderOf } from "../repo/clone-source.js";
import { leaveRepository } from "../repo/clone-start.js";
import { rememberCredentials } from "../repo/credential-memory.js";
import { runGit } from "../repo/process.js";
import { acceptStore } from "./accept.js";
import type { Context, OutputOptions } from "./context.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly acceptOdb?: readonly string[];
  readonly initialRefspec?: readonly string[];
  readonly filter?: string | false;
  readonly origin?: string;
  readonly branch?: string;
  readonly checkout: boolean;
  readonly recurseSubmodules?: boolean;
  readonly bare?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("<url>", "the repository, as git clone takes it, or odb::<bucket-url>")
    .argument("[directory]", "where to; by default named after the repository")
    .option("--accept-odb [url]", "use the stores that the remote proposes, or =<url> alone", append)
    .option("--initial-refspec <refspec>", "fetch these refs first, instead of refs/odbs/*", append)
    .option("--filter <spec>", "leave out what this filter says, and get it when it is needed")
    .option("--no-filter", "leave out nothing")
    .option("-o, --origin <name>", "call the remote this instead of origin")
    .option("-b, --branch <name>", "check out this branch or tag")
    .option("-n, --no-checkout", "write no work tree")
    .option("--recurse-submodules", "clone the submodules, too")
    .option("--bare", "refused: use git clone --bare");
  takeValueByEqualsOnly(command, "--accept-odb");
  addOutputOptions(command).action((url: string, directory: string | undefined, options: Options) =>
    clone(url, directory, options, context),
  );
}

function append(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** `--accept-odb <url>` must not take the URL of the repository for its own value. */
function takeValueByEqualsOnly(command: Command, option: string): void {
  const parse = command.parseOptions.bind(command);
  command.parseOptions = (argv) => {
    const end = argv.indexOf("--");
    return parse(argv.map((arg, at) => (arg === option && (end < 0 || at < end) ? `${option}=` : arg)));
  };
}

async function clone(
  source: string,
  directory: string | undefined,
  options: Options,
  context: Context,
): Promise<void> {
  if (options.bare) {
    throw new OdbError(
      "invalid",
      'a bare clone has no work tree for an ODB to fill: use "git clone --bare", then "git odb init" in it',
    );
  }
  leaveRepository();
  rememberCredentials();
  const url = cloneUrl(source);
  const acceptance = parseAcceptance(options.acceptOdb ?? []);
  const into = directory ?? folderOf(url);
  const { quiet, progress = process.stderr.isTTY } = options;
  const warn = (line: string) => context.warn(line);
  const note = (line: string) => context.note(line, options);
  note(`Cloning into '${into}'...`);
  await cloneRepository(
    {
      url,
      directory: into,
      remote: options.origin ?? (await defaultRemote()),
      checkout: options.checkout,
      submodules: options.recurseSubmodules ?? false,
      output: quiet ? "quiet" : progress ? "progress" : "plain",
      signal: context.signal,
      ...(options.filter !== undefined && { filter: options.filter }),
      ...(options.branch !== undefined && { branch: options.branch }),
      ...(options.initialRefspec && { initialRefspecs: options.initialRefspec }),
    },
    {
      accept: (proposed) => acceptStore(proposed, acceptance, context, options),
      bundle: (odb) => runBundleStep(odb, warn, { tries: 4, signal: context.signal }),
      warn,
      note,
    },
  );
}

async function defaultRemote(): Promise<string> {
  const { status, stdout } = await runGit(["config", "--get", "clone.defaultRemoteName"], {
    okStatus: [0, 1],
  });
  return status === 0 ? stdout.toString().trim() : "origin";
}
