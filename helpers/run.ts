/** A helper from its command line to its exit code. */

import { type GetKind, type OdbHandler, serveProcess, serveScript, stdinChunks } from "../protocol/index.js";
import { exitCodeOf, toOdbError } from "../src/errors.js";
import type { Odb } from "../src/odb/session.js";
import { type HelperArguments, helperUsage, parseHelperArguments } from "./arguments.js";
import { checkScheme, type HelperKind } from "./kinds.js";
import type { Unopened } from "./rescue.js";
import { brokenHandler, type StoreHandlerOptions, storeHandler } from "./store-handler.js";

/** A helper, and what it does with an ODB. */
export interface RunnableHelper extends HelperKind {
  /** Default: {@link storeHandler}. */
  readonly handler?: (odb: Odb, options: StoreHandlerOptions) => OdbHandler;
}

/** Runs to the end of git's command (or of one instruction) and sets `process.exitCode`; never throws. */
export async function runHelper(
  kind: RunnableHelper,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  // Also for what our own children start.
  process.env.GIT_NO_EXTERNAL_ODB = "1";
  const tell = (line: string) => void process.stderr.write(`${kind.command}: ${line}\n`);
  try {
    const args = await parseOrRescue(argv, tell);
    if (args === undefined) return;
    if (args.help) process.stdout.write(helperUsage(kind.command, kind.urls));
    else await serve(kind, args, tell);
  } catch (cause) {
    const error = toOdbError(cause);
    // git is gone: nobody asks.
    if (error.code !== "aborted") tell(error.message);
    if (error.code === "bug" && process.env.GIT_ODB_TRACE) tell(String(error.stack));
    process.exitCode = exitCodeOf(error);
  }
}

type Tell = (line: string) => void;

interface Opened {
  readonly handler: OdbHandler;
  readonly get: "git" | "raw" | "direct";
}

/** @returns undefined when the command line is wrong but ended in a put, whose object has been kept */
async function parseOrRescue(argv: readonly string[], tell: Tell): Promise<HelperArguments | undefined> {
  try {
    return parseHelperArguments(argv);
  } catch (error) {
    // git appends the instruction to the command of the config, which is what is wrong.
    const instruction = argv.slice(-4);
    if (instruction[0] !== "put_raw_obj") throw error;
    await serveOne(await rescuer({ why: toOdbError(error) }, tell), instruction);
    return undefined;
  }
}

async function serveOne(handler: OdbHandler, instruction: readonly string[], get?: GetKind): Promise<void> {
  process.exitCode = await serveScript(handler, instruction, {
    input: stdinChunks(),
    output: process.stdout,
    // Made when it is needed, as stdin is: each costs 1 to 2 ms.
    get stderr() {
      return process.stderr;
    },
    get,
  });
}

async function rescuer(unopened: Unopened, tell: Tell): Promise<OdbHandler> {
  const { rescuingHandler } = await import("./rescue.js");
  return rescuingHandler(unopened, tell);
}

async function serve(kind: RunnableHelper, args: HelperArguments, tell: Tell): Promise<void> {
  const script = args.instruction.length > 0;
  const { handler, get } = await open(kind, args, tell);
  // Nothing is held back by a script's other instructions.
  if (!script || args.instruction[0]?.startsWith("put_")) closeOnSignal(handler);
  if (script) await serveOne(handler, args.instruction, get);
  else {
    await serveProcess(handler, {
      input: stdinChunks(),
      output: process.stdout,
      get,
      onFailure: ({ command, error }) => tell(`${command}: ${error.message}`),
    });
  }
}

/**
 * Opens the ODB. A failure is answered to each command instead of ending the helper: at a helper that does not shake
 * hands that git dies, though it could go on with what it has.
 */
async function open(kind: RunnableHelper, args: HelperArguments, warn: Tell): Promise<Opened> {
  try {
    const { openOdbHere } = await import("../src/odb/session.js");
    const { url, name } = args;
    const haveNext = args.instruction[0] === "have";
    const odb = await openOdbHere(name, { warn, haveNext, ...(url !== undefined && { url }) });
    checkScheme(kind, name, odb.urls);
    const keepRefused = args.instruction.length > 0;
    const handler = (kind.handler ?? storeHandler)(odb, { keepRefused, warn });
    return { handler, get: kind.handler ? "git" : odb.config.get };
  } catch (error) {
    const why = toOdbError(error);
    const isPut = args.instruction[0] === "put_raw_obj";
    return {
      handler: isPut ? await rescuer({ why, name: args.name }, warn) : brokenHandler(why),
      get: "git",
    };
  }
}

/** git may end a helper without waiting for it: what is held back is written now. */
function closeOnSignal(handler: OdbHandler): void {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  for (const [signal, number] of Object.entries(numbers)) {
    process.once(signal, () => {
      const closing = Promise.resolve(handler.close?.());
      void closing
        .catch((error: unknown) => process.stderr.write(`${toOdbError(error).message}\n`))
        .finally(() => process.exit(128 + number));
    });
  }
}
