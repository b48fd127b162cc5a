/** git's end of subprocess mode: drives a helper, accepts what git accepts, and verifies what it gets. */

import { OdbError } from "../src/errors.js";
import { type Content, verified } from "../src/object/content.js";
import type { ObjectId } from "../src/object/id.js";
import { type ObjectInfo, parseInfo, parseObjectType, parseSize } from "../src/object/info.js";
import { verifiedLoose } from "../src/object/verified-loose.js";
import { type ChildOptions, startHelper } from "./child.js";
import {
  exchange,
  expectSuccess,
  guarded,
  readStatus,
  readValue,
  request,
  streamed,
  type Wire,
} from "./client-wire.js";
import {
  type Capability,
  capabilities,
  type Negotiation,
  type OdbClient,
  type RawObject,
} from "./handler.js";
import { offerHandshake } from "./handshake.js";
import { type Packet, PktReader, PktWriter } from "./pkt-line.js";
import { type Direction, packetTracer } from "./transcript.js";

/** How to start a helper and what to offer it. */
export interface ConnectOptions extends ChildOptions {
  /** Default: what version 6 of the patch series offers. The read-object hook's client offers `["get"]`. */
  readonly capabilities?: readonly Capability[] | undefined;
  /** Whether to send `init` after the handshake, as git does; the hook's client does not. Default true. */
  readonly init?: boolean | undefined;
  /** Sees every packet of the session. */
  readonly onPacket?: ((direction: Direction, packet: Packet) => void) | undefined;
}

/** A session with a helper in a process of its own. */
export interface ProcessClient extends OdbClient {
  /** The helper's exit code; git does not look at it. */
  readonly exited: Promise<number>;
  /** Ends the helper at once. */
  kill(): void;
}

const gitCapabilities = capabilities.filter((capability) => capability !== "get");

/**
 * Starts `command` (a line for the shell) and shakes hands.
 *
 * One command at a time: content that a get gave must be consumed, or returned early, before the next command.
 *
 * Failures of the client: `unavailable` (the helper answered `error`), `unsupported` (`abort`, or not offered), `protocol`
 * (an answer that git would not understand, or an early exit; the helper is killed), `integrity` (success over other bytes).
 *
 * @throws OdbError as above; config when the command cannot be started
 */
export async function connectProcess(command: string, options: ConnectOptions = {}): Promise<ProcessClient> {
  const child = await startHelper(command, options);
  const observe = (direction: Direction) => {
    const trace = packetTracer(direction);
    return (packet: Packet) => {
      trace?.(packet);
      options.onPacket?.(direction, packet);
    };
  };
  const reader = new PktReader(child.stdout, { onPacket: observe("git<") });
  const writer = new PktWriter(child.stdin, { onPacket: observe("git>") });
  const offered = options.capabilities ?? gitCapabilities;
  const wire: Wire = { child, reader, writer, busy: false };
  const { version, capabilities } = await guarded(wire, "the handshake", () =>
    offerHandshake(reader, writer, { capabilities: offered }),
  );
  const client = clientOn(wire, { version, capabilities });
  if (options.init ?? true) await sendInit(wire);
  return client;
}

function clientOn(wire: Wire, negotiation: Negotiation): ProcessClient {
  const { child } = wire;
  const agreed = (capability: Capability) => {
    if (!negotiation.capabilities.includes(capability)) {
      throw new OdbError("unsupported", `the helper did not offer ${capability}`);
    }
  };
  const put = async (capability: Capability, info: ObjectInfo, content?: Content) => {
    agreed(capability);
    await sendPut(wire, capability, info, content);
  };
  const close = async () => {
    await wire.writer.end().catch(() => {});
    child.stdout.destroy();
    await child.exited;
  };
  return {
    negotiation,
    exited: child.exited,
    kill: () => child.kill(),
    async getGitObject(oid) {
      agreed("get_git_obj");
      const loose = await getLoose(wire, oid);
      return loose && verifiedLoose({ oid }, loose);
    },
    async getRawObject(oid) {
      agreed("get_raw_obj");
      return getRaw(wire, oid);
    },
    async getDirect(oid) {
      const capability = negotiation.capabilities.includes("get") ? "get" : "get_direct";
      agreed(capability);
      return getDirect(wire, capability, oid);
    },
    putRawObject: (info, content) => put("put_raw_obj", info, content),
    putGitObject: (info, loose) => put("put_git_obj", info, loose),
    putDirect: (info) => put("put_direct", info),
    async *have() {
      agreed("have");
      yield* listHave(wire);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function sendInit(wire: Wire): Promise<void> {
  await exchange(wire, "init", async () => {
    await request(wire, "init");
    expectSuccess("init", await readStatus(wire));
  });
}

async function getLoose(wire: Wire, oid: ObjectId): Promise<Content | undefined> {
  const what = `get_git_obj ${oid}`;
  return streamed(wire, what, async function* () {
    await request(wire, "get_git_obj", `sha1=${oid}`);
    let empty = true;
    for await (const packet of wire.reader.readContent()) {
      empty = false;
      yield packet;
    }
    const status = await readStatus(wire);
    if (empty && status === "notfound") return;
    expectSuccess(what, status);
    if (empty) throw new OdbError("integrity", `${what}: success without content`);
  });
}

async function getRaw(wire: Wire, oid: ObjectId): Promise<RawObject | undefined> {
  const what = `get_raw_obj ${oid}`;
  let info: ObjectInfo | undefined;
  const content = await streamed(wire, what, async function* () {
    await request(wire, "get_raw_obj", `sha1=${oid}`);
    const size = await readValue(wire, "size");
    const kind = await readValue(wire, "kind");
    if (kind !== "none") {
      info = { oid, size: parseSize(size), type: parseObjectType(kind) };
      // Lets the caller know the size before there is content, or none.
      yield Buffer.alloc(0);
      yield* wire.reader.readContent();
    }
    const status = await readStatus(wire);
    if (info === undefined && status === "notfound") return;
    expectSuccess(what, status);
    if (info === undefined) throw new OdbError("integrity", `${what}: success without an object`);
  });
  return content && info && { info, content: verified(content, info) };
}

async function getDirect(wire: Wire, command: Capability, oid: ObjectId): Promise<boolean> {
  const what = `${command} ${oid}`;
  return exchange(wire, what, async () => {
    await request(wire, command, `sha1=${oid}`);
    const status = await readStatus(wire);
    if (status !== "notfound") expectSuccess(what, status);
    return status === "success";
  });
}

async function sendPut(wire: Wire, command: Capability, info: ObjectInfo, content?: Content): Promise<void> {
  const what = `${command} ${info.oid}`;
  await exchange(wire, what, async () => {
    await request(wire, command, `sha1=${info.oid}`, `size=${info.size}`, `kind=${info.type}`);
    let failure: { error: unknown } | undefined;
    if (content) {
      await wire.writer.content(content).catch((error: unknown) => {
        failure = { error };
      });
      wire.writer.flushPkt();
      await wire.writer.send();
    }
    const status = await readStatus(wire);
    // Content that failed has been cut short: the helper's refusal of it is not the news.
    if (failure) throw failure.error;
    expectSuccess(what, status);
  });
}

async function* listHave(wire: Wire): AsyncGenerator<ObjectInfo, void, void> {
  const packets = await streamed(wire, "have", async function* () {
    await request(wire, "have");
    yield Buffer.alloc(0);
    yield* wire.reader.readContent();
    expectSuccess("have", await readStatus(wire));
  });
  for await (const packet of packets ?? []) {
    // git reads each packet by itself: a line does not go on in the next one.
    for (const line of packet.toString("latin1").split("\n")) if (line !== "") yield parseHave(line);
  }
}

function parseHave(line: string): ObjectInfo {
  try {
    return parseInfo(line);
  } catch (error) {
    throw new OdbError("protocol", `have: ${(error as Error).message}`, { cause: error });
  }
}
