/** git's end of script mode: starts a helper for each instruction, as that git does, and verifies what it gets. */

import { OdbError } from "../src/errors.js";
import { type Content, verified } from "../src/object/content.js";
import type { ObjectId } from "../src/object/id.js";
import { type ObjectInfo, parseInfo } from "../src/object/info.js";
import { verifiedLoose } from "../src/object/verified-loose.js";
import { type ChildOptions, type HelperChild, startHelper } from "./child.js";
import { type Capability, capabilities, type OdbClient } from "./handler.js";
import { OutputQueue } from "./output.js";

/** How to start a script helper. */
export type ScriptConnectOptions = ChildOptions;

/**
 * Asks `command` (a line for the shell, to which an instruction is added) for its capabilities.
 *
 * As that git it asks `have` for an object's size and type before any get_git_obj or get_raw_obj, and takes an object that
 * is not in the list for absent. Failures: `unavailable` for an exit code other than 0, `protocol` for lines that
 * git would not understand, `integrity` for other bytes.
 *
 * @throws OdbError as above; config when the command cannot be started
 */
export async function connectScript(command: string, options: ScriptConnectOptions = {}): Promise<OdbClient> {
  const script: Script = { command, options };
  const offered: Capability[] = [];
  for await (const line of linesOf(script, "init")) {
    const word = /^capability=(.*)$/.exec(line)?.[1];
    const known = capabilities.find((capability) => capability === word);
    // git warns of a capability that it does not know, and goes on.
    if (known) offered.push(known);
  }
  const close = async () => {};
  return {
    negotiation: { version: 1, capabilities: offered },
    async getGitObject(oid) {
      const info = await find(script, oid);
      return info && verifiedLoose({ oid }, outputOf(script, `get_git_obj ${oid}`));
    },
    async getRawObject(oid) {
      const info = await find(script, oid);
      return info && { info, content: verified(outputOf(script, `get_raw_obj ${oid}`), info) };
    },
    getDirect: (oid) => getDirect(script, oid),
    putRawObject: (info, content) => put(script, "put_raw_obj", info, content),
    putGitObject: (info, loose) => put(script, "put_git_obj", info, loose),
    putDirect: (info) => put(script, "put_direct", info),
    have: () => have(script),
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Script {
  readonly command: string;
  readonly options: ScriptConnectOptions;
}

async function find(script: Script, oid: ObjectId): Promise<ObjectInfo | undefined> {
  let found: ObjectInfo | undefined;
  for await (const info of have(script)) if (info.oid === oid) found = info;
  return found;
}

async function* have(script: Script): AsyncGenerator<ObjectInfo, void, void> {
  for await (const line of linesOf(script, "have")) {
    try {
      yield parseInfo(line);
    } catch (error) {
      throw new OdbError("protocol", `have: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** @returns false for exit code 1: to git every code but 0 is a failure */
async function getDirect(script: Script, oid: ObjectId): Promise<boolean> {
  const instruction = `get_direct ${oid}`;
  const child = await start(script, instruction);
  child.stdin.end();
  child.stdout.resume();
  const code = await child.exited;
  if (code !== 1) expectZero(instruction, code);
  return code === 0;
}

async function put(script: Script, word: string, info: ObjectInfo, content?: Content): Promise<void> {
  const instruction = `${word} ${info.oid} ${info.size} ${info.type}`;
  const child = await start(script, instruction);
  child.stdout.resume();
  try {
    if (content) await feed(child, content);
    child.stdin.end();
  } catch (error) {
    // Without the rest of its content the helper must not take it for whole.
    child.kill();
    throw error;
  }
  expectZero(instruction, await child.exited);
}

/** A helper that does not read to the end kills git (SIGPIPE); here its exit code tells. */
async function feed(child: HelperChild, content: Content): Promise<void> {
  const output = new OutputQueue(child.stdin);
  for await (const chunk of content) {
    output.push(chunk);
    const failure = await output.send().catch((error: unknown) => ({ error }));
    if (failure) throw brokenPipe(failure.error);
  }
}

function brokenPipe(cause: unknown): OdbError {
  return new OdbError(
    "protocol",
    "the helper did not read the content of a put to its end: git dies of that",
    {
      cause,
    },
  );
}

/** What an instruction prints; throws at its end unless the exit code is 0. */
async function* outputOf(script: Script, instruction: string): Content {
  const child = await start(script, instruction);
  child.stdin.end();
  let whole = false;
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    whole = true;
  } finally {
    if (!whole) child.kill();
  }
  expectZero(instruction, await child.exited);
}

/** In bytes; a line of `have` has 110 at most. */
const LINE_LIMIT = 64 * 1024;

async function* linesOf(script: Script, instruction: string): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const chunk of outputOf(script, instruction)) {
    const lines = (rest + Buffer.from(chunk).toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_LIMIT)
      throw new OdbError("protocol", `${instruction}: a line of more than ${LINE_LIMIT} bytes`);
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function start({ command, options }: Script, instruction: string): Promise<HelperChild> {
  return startHelper(`${command} ${instruction}`, options);
}

function expectZero(instruction: string, code: number): void {
  if (code !== 0) throw new OdbError("unavailable", `${instruction}: the helper exited with code ${code}`);
}
