/** The helper's end of script mode: one process an instruction, its outcome an exit code. */

import type { Writable } from "node:stream";
import { exitCodeOf, OdbError, toOdbError } from "../src/errors.js";
import type { Content } from "../src/object/content.js";
import { type ObjectId, parseObjectId } from "../src/object/id.js";
import { formatInfo, type ObjectInfo, parseObjectType, parseSize } from "../src/object/info.js";
import { encodeLoose } from "../src/object/loose.js";
import type { OdbHandler } from "./handler.js";
import { type OfferOptions, offeredCapabilities } from "./offer.js";
import { OutputQueue } from "./output.js";

/** The ends of one instruction, and what `init` offers. */
export interface ScriptOptions extends OfferOptions {
  /** The content of a put: as a rule process.stdin. Read by puts only. */
  readonly input: AsyncIterable<Uint8Array>;
  /** As a rule process.stdout. */
  readonly output: Writable;
  /** Takes one line a failure. As a rule process.stderr. */
  readonly stderr: Writable;
}

/** The words of {@link serveScript}. */
export const instructions: ReadonlySet<string> = new Set([
  "init",
  "have",
  "get_git_obj",
  "get_raw_obj",
  "get_direct",
  "put_raw_obj",
  "put_git_obj",
  "put_direct",
]);

/**
 * Above this size that client's script mode sends the first 8 MiB of an object again instead of the rest: it goes on
 * writing from the beginning of its buffer.
 */
const FAULTY_SIZE = 8 * 1024 * 1024;

/**
 * Serves one instruction: `argv` is the instruction and its arguments. Failures are told on stderr in one line.
 *
 * git ignores the exit code of a put and keeps no copy of its own: a handler for script mode must not lose an object that
 * it cannot store.
 *
 * @returns the exit code: 0, 1 for an object that is not there, 129 for a wrong call, 128 or another of
 *   `exitCodeOf` for a failure. `handler.close()` has been called.
 */
export async function serveScript(
  handler: OdbHandler,
  argv: readonly string[],
  options: ScriptOptions,
): Promise<number> {
  const call: Call = { handler, options, output: new OutputQueue(options.output) };
  const tell = (cause: unknown) => {
    const error = toOdbError(cause);
    options.stderr.write(`error: ${argv.slice(0, 2).join(" ")}: ${error.message}\n`);
    return exitCodeOf(error);
  };
  const code = await runInstruction(call, argv).catch(tell);
  const closed = await Promise.resolve(handler.close?.()).then(() => 0, tell);
  return code || closed;
}

/** `have` is written in pieces of so many bytes. */
const LINES_AT_ONCE = 64 * 1024;

interface Call {
  readonly handler: OdbHandler;
  readonly options: ScriptOptions;
  readonly output: OutputQueue;
}

async function runInstruction(call: Call, [word = "", ...args]: readonly string[]): Promise<number> {
  const run = Object.hasOwn(runners, word) ? runners[word] : undefined;
  if (run === undefined) throw new OdbError("invalid", "no instruction known here (try -h)");
  const found = await run(call, args);
  await call.output.send();
  return found ? 0 : 1;
}

/** One function an instruction. @returns whether the object, if one was asked for, is there */
const runners: Readonly<Record<string, (call: Call, args: readonly string[]) => Promise<boolean>>> = {
  async init({ handler, options, output }, args) {
    expectArguments(args, 0);
    await handler.init?.();
    for (const capability of offeredCapabilities(handler, options)) {
      if (capability !== "get") output.push(Buffer.from(`capability=${capability}\n`));
    }
    return true;
  },

  async have({ handler, output }, args) {
    expectArguments(args, 0);
    if (handler.have) await send(output, haveLines(handler.have()));
    return true;
  },

  async get_git_obj({ handler, output }, args) {
    const oid = parseOidArgument(args);
    const loose = handler.getGitObject ? await handler.getGitObject(oid) : await looseOfRaw(handler, oid);
    if (loose) await send(output, loose);
    return loose !== undefined;
  },

  async get_raw_obj({ handler, output }, args) {
    const object = await handler.getRawObject?.(parseOidArgument(args));
    if (object) await send(output, object.content);
    return object !== undefined;
  },

  async get_direct({ handler }, args) {
    return (await handler.getDirect?.(parseOidArgument(args))) ?? false;
  },

  put_raw_obj: (call, args) => put(call, args, (info, content) => call.handler.putRawObject?.(info, content)),
  put_git_obj: (call, args) => put(call, args, (info, content) => call.handler.putGitObject?.(info, content)),

  async put_direct({ handler }, args) {
    if (!handler.putDirect) throw unsupported();
    await handler.putDirect(parsePutArguments(args));
    return true;
  },
};

async function put(
  { options }: Call,
  args: readonly string[],
  take: (info: ObjectInfo, content: Content) => Promise<void> | undefined,
): Promise<boolean> {
  const input = options.input[Symbol.asyncIterator]();
  try {
    const info = parsePutArguments(args);
    await (take(info, unreturned(input)) ?? Promise.reject(unsupported())).catch((error: unknown) => {
      throw explained(toOdbError(error), info);
    });
    return true;
  } finally {
    // git dies of SIGPIPE if its content is not read to the end.
    while (!(await input.next()).done);
  }
}

/** The rest of `input`, which a consumer that stops early leaves open for the next one. */
function unreturned(input: AsyncIterator<Uint8Array>): Content {
  return { [Symbol.asyncIterator]: () => ({ next: () => input.next() }) };
}

/** What that client has done with an object that is not what its name says, and what the user does now. */
function explained(error: OdbError, { size }: ObjectInfo): OdbError {
  if (error.code !== "integrity") return error;
  const again = '"git rm --cached" and "git add" the file again';
  const why =
    size > FAULTY_SIZE
      ? "git's script mode sends wrong bytes above 8 MiB, and has stored this file nowhere: " +
        `run "git config core.bigFileThreshold 8m" (or use odb.<name>.subprocessCommand), then ${again}`
      : `git ignores this in script mode, and has stored the file nowhere: ${again}, when nothing writes to it`;
  return new OdbError("integrity", `${error.message}: ${why}`, { cause: error });
}

async function looseOfRaw(handler: OdbHandler, oid: ObjectId): Promise<Content | undefined> {
  const object = await handler.getRawObject?.(oid);
  return object && encodeLoose(object.info, object.content);
}

async function send(output: OutputQueue, content: Content): Promise<void> {
  for await (const chunk of content) {
    output.push(chunk);
    if (output.isFull) await output.send();
  }
}

async function* haveLines(infos: ReturnType<NonNullable<OdbHandler["have"]>>): Content {
  let lines = "";
  for await (const some of infos) {
    for (const info of "oid" in some ? [some] : some) {
      lines += `${formatInfo(info)}\n`;
      if (lines.length < LINES_AT_ONCE) continue;
      yield Buffer.from(lines);
      lines = "";
    }
  }
  if (lines !== "") yield Buffer.from(lines);
}

function parseOidArgument(args: readonly string[]): ObjectId {
  expectArguments(args, 1);
  return parseObjectId(args[0] ?? "");
}

function parsePutArguments(args: readonly string[]): ObjectInfo {
  expectArguments(args, 3);
  const [oid = "", size = "", type = ""] = args;
  return { oid: parseObjectId(oid), size: parseSize(size), type: parseObjectType(type) };
}

function expectArguments(args: readonly string[], count: number): void {
  if (args.length !== count) {
    throw new OdbError("invalid", `expected ${count} argument(s), got ${args.length} (try -h)`);
  }
}

function unsupported(): OdbError {
  return new OdbError("unsupported", "this helper does not take objects this way");
}
