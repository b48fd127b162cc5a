/** One function a command of subprocess mode, its statements in wire order. */

import { OdbError, toOdbError } from "../src/errors.js";
import type { Content } from "../src/object/content.js";
import { parseObjectId } from "../src/object/id.js";
import { formatInfo, type ObjectInfo, parseObjectType, parseSize } from "../src/object/info.js";
import { encodeLoose } from "../src/object/loose.js";
import type { Capability, OdbHandler } from "./handler.js";
import { MAX_PAYLOAD, type PktReader, type PktWriter } from "./pkt-line.js";
import { exactly, type PutContent, putContentOf } from "./put-content.js";
import { type CommandKind, type Status, statusOf } from "./status.js";

/** A command as git sent it, up to its flush-pkt. */
export interface Request {
  /** The word behind `command=`; empty when there was none. */
  readonly command: string;
  /** The other lines, by key. */
  readonly args: ReadonlyMap<string, string>;
}

/** A command that failed, for whoever tells the user. */
export interface Failure {
  readonly command: string;
  /** As git sent it, if the command has one. */
  readonly oid?: string;
  readonly error: OdbError;
}

/** What the commands of one session share. */
export interface Session {
  readonly reader: PktReader;
  readonly writer: PktWriter;
  readonly handler: OdbHandler;
  readonly agreed: ReadonlySet<Capability>;
  readonly report: (failure: Failure) => void;
}

/** Answers one request: queued on the writer, not yet sent. Throws only what ends the session. */
export type Command = (session: Session, request: Request) => Promise<void>;

/** By git's words. Anything else is {@link unknownCommand}. */
export const commands: Readonly<Record<string, Command>> = {
  async init(session, request) {
    const status = await attempt(session, request, "init", async (handler) => {
      await handler.init?.();
      return "success";
    });
    answer(session.writer, status);
  },

  async have(session, request) {
    const { writer } = session;
    const status = await attempt(session, request, "have", async (handler) => {
      if (handler.have) await sendLines(writer, handler.have());
      return "success";
    });
    writer.flushPkt();
    answer(writer, status);
  },

  async get_git_obj(session, request) {
    const { writer } = session;
    const status = await attempt(session, request, "get", async (handler) => {
      const loose = await looseOf(handler, parseOid(request));
      if (loose === undefined) return "notfound";
      await writer.content(loose);
      return "success";
    });
    // Also before `notfound`: without it git takes the status for zlib data.
    writer.flushPkt();
    answer(writer, status);
  },

  async get_raw_obj(session, request) {
    const { writer } = session;
    let begun = false;
    const status = await attempt(session, request, "get", async (handler) => {
      const oid = parseOid(request);
      const object = await handler.getRawObject?.(oid);
      if (object === undefined) return "notfound";
      begun = true;
      writer.line(`size=${object.info.size}`);
      writer.line(`kind=${object.info.type}`);
      await writer.content(exactly(object.info, object.content));
      return "success";
    });
    if (begun) writer.flushPkt();
    else nothing(writer);
    answer(writer, status);
  },

  async get_direct(session, request) {
    const status = await attempt(session, request, "get", async (handler) => {
      const brought = await handler.getDirect?.(parseOid(request));
      return brought ? "success" : "notfound";
    });
    answer(session.writer, status);
  },

  /** The read-object hook's: get_direct by another name, which knows `success` and `error` only. */
  async get(session, request) {
    const status = await attempt(session, request, "get", async (handler) => {
      const brought = await handler.getDirect?.(parseOid(request));
      return brought ? "success" : "error";
    });
    answer(session.writer, status);
  },

  put_raw_obj: (session, request) =>
    putContent(session, request, async (handler, info, content) => {
      await handler.putRawObject?.(info, content);
      const received = await content.drain();
      if (received !== info.size) {
        throw new OdbError("integrity", `${received} bytes came instead of the ${info.size} announced`);
      }
    }),

  put_git_obj: (session, request) =>
    putContent(session, request, async (handler, info, content) => {
      await handler.putGitObject?.(info, content);
    }),

  async put_direct(session, request) {
    const status = await attempt(session, request, "put", async (handler) => {
      await handler.putDirect?.(parsePutInfo(request));
      return "success";
    });
    answer(session.writer, status);
  },
};

/** Answers a command of another protocol or a later time. */
export async function unknownCommand(session: Session, request: Request): Promise<void> {
  const shown = JSON.stringify(request.command.slice(0, 80));
  const error = new OdbError("unsupported", `${shown} is no command known here`);
  session.report({ command: request.command, error });
  answer(session.writer, "error");
}

type Put = (handler: OdbHandler, info: ObjectInfo, content: PutContent) => Promise<void>;

async function putContent(session: Session, request: Request, put: Put): Promise<void> {
  const content = putContentOf(session.reader);
  const status = await attempt(session, request, "put", async (handler) => {
    await put(handler, parsePutInfo(request), content);
    return "success";
  });
  // A refused put is read to its flush-pkt, else its content would be taken for commands.
  await content.drain();
  answer(session.writer, status);
}

/** Runs a handler and turns what it throws into a status. Lets through what ends the session. */
async function attempt(
  session: Session,
  request: Request,
  kind: CommandKind,
  run: (handler: OdbHandler) => Promise<Status>,
): Promise<Status> {
  try {
    if (kind !== "init" && !session.agreed.has(request.command as Capability)) {
      throw new OdbError("unsupported", `${request.command} was not offered`);
    }
    return await run(session.handler);
  } catch (cause) {
    const error = toOdbError(cause);
    if (error.code === "aborted") throw error;
    const oid = request.args.get("sha1");
    session.report({ command: request.command, ...(oid !== undefined && { oid }), error });
    return statusOf(error, kind);
  }
}

function answer(writer: PktWriter, status: Status): void {
  writer.line(`status=${status}`);
  writer.flushPkt();
}

/** What get_raw_obj says instead of a size and a kind; no flush-pkt follows. */
function nothing(writer: PktWriter): void {
  writer.line("size=0");
  writer.line("kind=none");
}

async function looseOf(
  handler: OdbHandler,
  oid: ReturnType<typeof parseObjectId>,
): Promise<Content | undefined> {
  if (handler.getGitObject) return handler.getGitObject(oid);
  const object = await handler.getRawObject?.(oid);
  return object && encodeLoose(object.info, exactly(object.info, object.content));
}

type Had = ReturnType<NonNullable<OdbHandler["have"]>>;

/**
 * Lines in packets, none of them cut in two: that git reads each packet by itself. No LF at a packet's very end:
 * version 5 of the series takes it for one more line, which is bad, and warns at every command (observed).
 */
async function sendLines(writer: PktWriter, infos: Had): Promise<void> {
  let lines = "";
  for await (const some of infos) {
    for (const info of "oid" in some ? [some] : some) {
      const line = formatInfo(info);
      if (lines.length + 1 + line.length > MAX_PAYLOAD) {
        writer.packet(Buffer.from(lines));
        await writer.send();
        lines = "";
      }
      lines += lines === "" ? line : `\n${line}`;
    }
  }
  if (lines !== "") writer.packet(Buffer.from(lines));
}

function parseOid({ args }: Request) {
  return parseObjectId(args.get("sha1") ?? "");
}

function parsePutInfo(request: Request): ObjectInfo {
  const { args } = request;
  return {
    oid: parseOid(request),
    size: parseSize(args.get("size") ?? ""),
    type: parseObjectType(args.get("kind") ?? ""),
  };
}
