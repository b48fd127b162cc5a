/** The helper's end of subprocess mode: one process for the life of a git command. */

import type { Writable } from "node:stream";
import { commands, type Failure, type Request, type Session, unknownCommand } from "./commands.js";
import type { OdbHandler } from "./handler.js";
import { acceptHandshake } from "./handshake.js";
import { type OfferOptions, offeredCapabilities } from "./offer.js";
import { PktReader, PktWriter } from "./pkt-line.js";
import { packetTracer } from "./transcript.js";

/** The two ends of a session, and what to offer in it. */
export interface ServeOptions extends OfferOptions {
  /** git's packets: as a rule process.stdin. */
  readonly input: AsyncIterable<Uint8Array>;
  /** To git: as a rule process.stdout. Nothing else may be written to it. */
  readonly output: Writable;
  /** Told of each command that is answered `error` or `abort`. Default: a line on stderr. */
  readonly onFailure?: ((failure: Failure) => void) | undefined;
}

/** More lines than these make no request. */
const MAX_LINES = 64;

/**
 * Serves one git command: handshake, then requests until git closes its end; then `handler.close()`.
 *
 * A failure of the handler is an answer to git, not the end of the session.
 *
 * @throws OdbError protocol, when git's side breaks the framing; aborted, when git is gone; whatever
 *   `handler.close()` throws. The handler has been closed in each case.
 */
export async function serveProcess(handler: OdbHandler, options: ServeOptions): Promise<void> {
  const reader = new PktReader(options.input, { onPacket: packetTracer("git>") });
  const writer = new PktWriter(options.output, { onPacket: packetTracer("git<") });
  const report = options.onFailure ?? reportOnStderr;
  try {
    const offered = offeredCapabilities(handler, options);
    const { capabilities } = await acceptHandshake(reader, writer, { capabilities: offered });
    await answerRequests({ reader, writer, handler, agreed: new Set(capabilities), report });
  } finally {
    try {
      await handler.close?.();
    } finally {
      await reader.close();
    }
  }
}

/** The default of {@link ServeOptions.onFailure}. */
export function reportOnStderr({ command, oid, error }: Failure): void {
  const about = oid === undefined || error.message.includes(oid) ? "" : ` ${oid}`;
  process.stderr.write(`error: ${command}${about}: ${error.message}\n`);
}

async function answerRequests(session: Session): Promise<void> {
  for (;;) {
    const request = await readRequest(session.reader);
    if (request === undefined) return;
    const known = Object.hasOwn(commands, request.command) ? commands[request.command] : undefined;
    await (known ?? unknownCommand)(session, request);
    await session.writer.send();
  }
}

/** @returns undefined when git has closed its end */
async function readRequest(reader: PktReader): Promise<Request | undefined> {
  const lines = await reader.readLinesOrEnd(MAX_LINES);
  if (lines === undefined) return undefined;
  const args = new Map<string, string>();
  for (const line of lines) {
    const equals = line.indexOf("=");
    if (equals > 0) args.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return { command: args.get("command") ?? "", args };
}
