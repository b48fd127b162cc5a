/** git-remote-odb: what git starts for the URLs `odb::<bucket-url>` and `odb://…`. */

import { exitCodeOf, OdbError, toOdbError } from "../errors.js";
import { parseRemoteAddress } from "../odb/promisor-remote.js";
import { placesFromEnvironment } from "../repo/places.js";
import { version } from "../version.js";
import { openOdbRemote, openRemote } from "./open.js";
import { helperPipes } from "./pipes.js";
import type { Remote, RemoteContext } from "./remote.js";
import { runRemoteHelper } from "./remote-helper.js";

void main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<void> {
  // Also for what our own children start.
  process.env.GIT_NO_EXTERNAL_ODB = "1";
  const output = laterStderr();
  const tell = (line: string) => void output.stderr.write(`git-remote-odb: ${line.replaceAll("\n", " ")}\n`);
  const signal = interruption();
  let remote: Promise<Remote> | undefined;
  try {
    const [name, address = name] = argv;
    if (name === undefined || address === undefined || name.startsWith("-")) return usage(name);
    const target = parseRemoteAddress(address);
    const url = "bucket" in target ? target.bucket : address;
    const places = placesFromEnvironment();
    const context: RemoteContext = {
      ...{ name, url, places, signal, warn: tell },
      get stderr() {
        return output.stderr;
      },
    };
    const open = () => {
      remote ??= "bucket" in target ? openRemote(context) : openOdbRemote(context, target.odb);
      return remote;
    };
    // It opens while git still says what it wants; whoever needs it sees a failure.
    open().catch(() => {});
    // Should it ever end without having ended, git must not take that for success.
    process.exitCode = 128;
    const { complete } = await runRemoteHelper(helperPipes(signal), open);
    process.exitCode = complete ? 0 : 1;
  } catch (cause) {
    const error = toOdbError(signal.aborted ? signal.reason : cause);
    if (error.code !== "aborted") tell(error.message);
    if (error.code === "bug" && process.env.GIT_ODB_TRACE) tell(String(error.stack));
    process.exitCode = exitCodeOf(error);
  } finally {
    // What it could not end is of no use to git, which has its answer.
    await remote?.then((opened) => opened.close()).catch(() => {});
  }
  // A read that waits for git would keep the process; one that ends by itself takes its heap down first, 3 ms and more.
  if (signal.aborted || output.isWritten()) process.exit();
}

/** Node's stream is made when something is said: that takes 1 to 2 ms. */
function laterStderr() {
  let isUsed = false;
  return {
    get stderr() {
      isUsed = true;
      return process.stderr;
    },
    isWritten: () => !isUsed || process.stderr.writableLength === 0,
  };
}

function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => controller.abort(new OdbError("aborted", "interrupted", { cause: name })));
  }
  return controller.signal;
}

function usage(word: string | undefined): void {
  if (word === "--version") {
    process.stdout.write(`git-remote-odb version ${version}\n`);
    return;
  }
  const text =
    "usage: git remote-odb <remote> <url>\n\ngit runs this command for URLs that begin with odb:: or odb://.\n";
  if (word === "-h" || word === "--help") process.stdout.write(text);
  else {
    process.stderr.write(text);
    process.exitCode = 129;
  }
}
