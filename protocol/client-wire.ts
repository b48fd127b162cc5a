/** One answer at a time: what the commands of a client have in common, down to the end of a helper that breaks the rules. */

import { OdbError } from "../src/errors.js";
import type { HelperChild } from "./child.js";
import type { PktReader, PktWriter } from "./pkt-line.js";
import { isStatus, type Status } from "./status.js";

/** One session's two ends, and whether an answer is still being read. */
export interface Wire {
  readonly child: HelperChild;
  readonly reader: PktReader;
  readonly writer: PktWriter;
  busy: boolean;
}

/** Runs an answer that is read in one go. */
export async function exchange<T>(wire: Wire, what: string, run: () => Promise<T>): Promise<T> {
  take(wire, what);
  try {
    return await guarded(wire, what, run);
  } finally {
    wire.busy = false;
  }
}

/**
 * Runs an answer whose content the caller reads: up to its first chunk now, the rest as it is consumed; what is left
 * when the caller stops early is read and dropped.
 *
 * @returns undefined, when the answer ends without a chunk
 */
export async function streamed(
  wire: Wire,
  what: string,
  run: () => AsyncGenerator<Buffer, void, void>,
): Promise<AsyncIterable<Buffer> | undefined> {
  take(wire, what);
  const answer = run();
  async function* rest(first: Buffer) {
    let open = true;
    const step = async () => {
      open = false;
      const next = await guarded(wire, what, () => answer.next());
      open = !next.done;
      return next;
    };
    try {
      yield first;
      for (let next = await step(); !next.done; next = await step()) yield next.value;
    } finally {
      // Whether an answer that nobody wants ends well does not matter, only that it ends.
      while (open) await step().catch(throwUnlessRefused);
      wire.busy = false;
    }
  }
  try {
    const first = await guarded(wire, what, () => answer.next());
    if (!first.done) return rest(first.value);
  } catch (error) {
    wire.busy = false;
    throw error;
  }
  wire.busy = false;
  return undefined;
}

function take(wire: Wire, what: string): void {
  if (wire.busy) {
    throw new OdbError(
      "bug",
      `${what}: the answer before it has not been read to its end (one command at a time)`,
    );
  }
  wire.busy = true;
}

/** A helper that breaks the protocol, or is gone, is killed, as git does; the error says which it was. */
export async function guarded<T>(wire: Wire, what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof OdbError) || (error.code !== "protocol" && error.code !== "aborted")) throw error;
    const gone = await Promise.race([wire.child.exited, soon()]);
    wire.child.kill();
    const how = gone === undefined ? error.message : `the helper exited with code ${gone} (${error.message})`;
    throw new OdbError("protocol", `${what}: ${how}`, { cause: error });
  }
}

function throwUnlessRefused(error: unknown): { done: true } {
  if (error instanceof OdbError && error.code !== "protocol") return { done: true };
  throw error;
}

/** Time enough for an exit that has begun to be seen. */
function soon(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, 100, undefined));
}

/** Sends a command: its lines and a flush-pkt. */
export async function request(wire: Wire, command: string, ...lines: readonly string[]): Promise<void> {
  wire.writer.line(`command=${command}`);
  for (const line of lines) wire.writer.line(line);
  wire.writer.flushPkt();
  await wire.writer.send();
}

/** The value of a `key=` line. @throws OdbError protocol, on any other */
export async function readValue({ reader }: Wire, key: string): Promise<string> {
  const line = await reader.readLine();
  if (line?.startsWith(`${key}=`)) return line.slice(key.length + 1);
  throw new OdbError(
    "protocol",
    `${line == null ? "no line" : JSON.stringify(line)} where ${key}= was expected`,
  );
}

/** The last `status=` line before the flush-pkt wins; other lines are ignored. */
export async function readStatus({ reader }: Wire): Promise<Status> {
  const lines = await reader.readLines(64);
  const word = lines.findLast((line) => line.startsWith("status="))?.slice("status=".length);
  if (word !== undefined && isStatus(word)) return word;
  throw new OdbError("protocol", `${JSON.stringify(word ?? lines[0] ?? "")} is no status that git knows`);
}

/** @throws OdbError unsupported (`abort`), unavailable */
export function expectSuccess(what: string, status: Status): void {
  if (status === "success") return;
  const code = status === "abort" ? "unsupported" : "unavailable";
  throw new OdbError(code, `${what}: the helper answered status=${status}`);
}
