/** Process mode, driven packet by packet as that git does; it takes every answer, right or wrong, for a case to judge. */

import { setTimeout as sleep } from "node:timers/promises";
import { WELCOME } from "../../protocol/handshake.js";
import { type Packet, PktReader, PktWriter } from "../../protocol/pkt-line.js";
import { OdbError } from "../errors.js";
import { fail } from "./expect.js";
import { inflated, lastStatus, visitLines } from "./helper-answer.js";
import { CONTENT_LIMIT, type Got, getOf, type Offer, type Peer } from "./helper-peer.js";
import type { HelperProcess } from "./helper-process.js";
import { byteByByte } from "./slowly.js";

/** What version 6 of the series offers, in its order. */
export const offeredByGit = [
  "get_git_obj",
  "get_raw_obj",
  "get_direct",
  "put_git_obj",
  "put_raw_obj",
  "put_direct",
  "have",
] as const;

/** How a session differs from that git's. */
export interface SessionOptions {
  readonly versions?: readonly number[];
  readonly offer?: readonly string[];
  /** Whether lines end in LF. Default true, as git sends them. */
  readonly lf?: boolean;
  /** Whether `init` is sent. Default true, as git does. */
  readonly init?: boolean;
  /** One byte a write, with pauses: what a helper must not take for a packet. */
  readonly slow?: boolean;
  /** Reads an object out of the repository: what get_direct has put there. */
  readonly installed: (oid: string) => Promise<Buffer | undefined>;
}

/** A session with one helper process. */
export class Session implements Peer {
  readonly process: HelperProcess;
  /** The lines that answered the welcome. */
  welcome: readonly string[] = [];
  /** The lines that answered the capabilities. */
  capabilityLines: readonly string[] = [];
  offers: readonly string[] = [];
  initStatus = "";
  readonly #reader: PktReader;
  readonly #writer: PktWriter;
  readonly #options: SessionOptions;

  private constructor(process: HelperProcess, options: SessionOptions) {
    this.process = process;
    this.#options = options;
    this.#reader = new PktReader(process.stdout);
    this.#writer = new PktWriter(options.slow ? byteByByte(process.stdin) : process.stdin);
  }

  /** Shakes hands and sends `init`. @throws AssertionError when the helper ends, hangs or sends no packets */
  static async open(process: HelperProcess, options: SessionOptions): Promise<Session> {
    const session = new Session(process, options);
    try {
      await session.#handshake();
      if (options.init ?? true) session.initStatus = await session.command("init");
    } catch (error) {
      process.kill();
      throw error;
    }
    return session;
  }

  /** Sends a command that is answered by a status alone. @returns the status */
  async command(name: string, ...lines: string[]): Promise<string> {
    await this.#send([`command=${name}`, ...lines]);
    return this.#status(`the status of ${name}`);
  }

  /** As {@link command}, content in packets after its lines. */
  async commandWith(name: string, lines: readonly string[], packets: readonly Uint8Array[]): Promise<string> {
    await this.#send([`command=${name}`, ...lines]);
    for (const packet of packets) this.#writer.packet(packet);
    this.#writer.flushPkt();
    await this.#flow(`the helper to take the content of ${name}`);
    return this.#status(`the status of ${name}`);
  }

  /** What the repository has under this id, without any ODB. */
  installed(oid: string): Promise<Buffer | undefined> {
    return this.#options.installed(oid);
  }

  async put(offer: Offer): Promise<string> {
    await this.startPut(offer);
    this.#writer.flushPkt();
    await this.#flow("the helper to take the content of a put");
    return this.#status("the status of put_raw_obj");
  }

  /** As put, without the flush-pkt that ends the content. */
  async startPut(offer: Offer): Promise<void> {
    await this.#send(["command=put_raw_obj", `sha1=${offer.oid}`, `size=${offer.size}`, "kind=blob"]);
    for (const packet of offer.packets) {
      this.#writer.packet(packet);
      await this.#flow("the helper to take the content of a put");
    }
  }

  async get(oid: string): Promise<Got> {
    const kind = getOf(this.offers) ?? fail("the helper offers no get");
    await this.#send([`command=${kind}`, `sha1=${oid}`]);
    if (kind === "get_git_obj") return this.#gitObject();
    if (kind === "get_raw_obj") return this.#rawObject();
    return this.#direct(oid);
  }

  async have(visit: (line: string) => void): Promise<string> {
    await this.#send(["command=have"]);
    for (;;) {
      const packet = await this.#read("the lines of have, or the flush-pkt after them");
      if (packet === null) return this.#status("the status of have");
      visitLines(packet, visit);
    }
  }

  async said(): Promise<string> {
    // An answer may be here before the message that was written first.
    await sleep(50);
    return this.process.stderrNote();
  }

  async close(): Promise<void> {
    this.process.stdin.end();
    await this.process.exit("the helper to exit after EOF");
  }

  kill(): void {
    this.process.kill();
  }

  /** What is still on stdout after EOF. */
  async rest(): Promise<Packet | undefined> {
    this.process.stdin.end();
    return this.process.within(this.#reader.read(), "the end of stdout after EOF");
  }

  async #handshake(): Promise<void> {
    const { versions = [1], offer = offeredByGit } = this.#options;
    await this.#send([`${WELCOME}-client`, ...versions.map((version) => `version=${version}`)]);
    this.welcome = await this.#lines("the answer to the welcome");
    await this.#send(offer.map((capability) => `capability=${capability}`));
    this.capabilityLines = await this.#lines("the capabilities");
    this.offers = this.capabilityLines
      .filter((line) => line.startsWith("capability="))
      .map((line) => line.slice("capability=".length));
  }

  /** Content, flush-pkt, status; the status alone (what a helper sends that forgets the first flush-pkt) is noted. */
  async #gitObject(): Promise<Got> {
    const wire = await this.#content("the loose object of get_git_obj");
    if (wire.toString("latin1", 0, 7) === "status=") {
      const misshapen =
        "the status came without the flush-pkt before it: git takes it for zlib data and hangs";
      return { status: lastStatus(wire.toString().split("\n")), misshapen, wire };
    }
    const status = await this.#status("the status of get_git_obj (after the flush-pkt that ends the object)");
    if (status !== "success") return { status, wire };
    return { status, wire, content: await inflated(wire) };
  }

  async #rawObject(): Promise<Got> {
    const first = await this.#line("the size= line of get_raw_obj");
    if (first === null || !first.startsWith("size=")) {
      const lines =
        first === null ? await this.#lines("the status of get_raw_obj") : await this.#until(first);
      return {
        status: lastStatus(lines),
        misshapen: `the answer begins without size= (${lines.join(", ")})`,
      };
    }
    const kind = (await this.#line("the kind= line of get_raw_obj")) ?? "";
    const header = { size: first.slice("size=".length), kind: kind.replace(/^kind=/, "") };
    if (header.kind === "none") return { ...(await this.#rawAbsent()), header };
    const empties = { count: 0 };
    const content = await this.#content("the content of get_raw_obj", empties);
    const status = await this.#status("the status of get_raw_obj");
    const misshapen = empties.count > 0 && "an empty packet (0004) among the content: git crashes on it";
    return { status, wire: content, content, header, ...(misshapen && { misshapen }) };
  }

  async #rawAbsent(): Promise<Got> {
    const lines = await this.#lines("the status of get_raw_obj");
    if (lines.length > 0) return { status: lastStatus(lines) };
    const misshapen = "a flush-pkt between kind=none and the status: git reads no status";
    return { status: await this.#status("the status of get_raw_obj"), misshapen };
  }

  async #direct(oid: string): Promise<Got> {
    const status = await this.#status("the status of get_direct");
    if (status !== "success") return { status };
    const content = await this.#options.installed(oid);
    return content === undefined ? { status } : { status, content };
  }

  async #send(lines: readonly string[]): Promise<void> {
    const end = this.#options.lf === false ? "" : "\n";
    for (const line of lines) this.#writer.packet(Buffer.from(line + end));
    this.#writer.flushPkt();
    await this.#flow(`the helper to read ${lines[0] ?? "the capabilities"}`);
  }

  async #flow(what: string): Promise<void> {
    try {
      await this.process.within(this.#writer.send(), what);
    } catch (error) {
      if (!(error instanceof OdbError)) throw error;
      await this.process.ended(`instead of reading on (waiting for ${what})`);
    }
  }

  async #read(what: string): Promise<Packet> {
    try {
      const packet = await this.process.within(this.#reader.read(), what);
      if (packet !== undefined) return packet;
    } catch (error) {
      if (!(error instanceof OdbError)) throw error;
      fail(`${what}: ${error.message} Messages go to stderr${this.process.stderrNote()}`);
    }
    return this.process.ended(`where this was expected: ${what}`);
  }

  async #line(what: string): Promise<string | null> {
    const packet = await this.#read(what);
    return packet === null ? null : packet.toString("utf8").replace(/\n$/, "");
  }

  async #lines(what: string): Promise<string[]> {
    const lines: string[] = [];
    for (let line = await this.#line(what); line !== null; line = await this.#line(what)) {
      if (lines.push(line) > 1000) fail(`${what}: more than 1000 lines and no flush-pkt`);
    }
    return lines;
  }

  async #until(first: string): Promise<string[]> {
    return [first, ...(await this.#lines("the flush-pkt after the status"))];
  }

  async #status(what: string): Promise<string> {
    return lastStatus(await this.#lines(what));
  }

  async #content(what: string, empties?: { count: number }): Promise<Buffer> {
    const packets: Buffer[] = [];
    let size = 0;
    for (let packet = await this.#read(what); packet !== null; packet = await this.#read(what)) {
      if (packet.length === 0 && empties) empties.count += 1;
      size += packet.length;
      if (size > CONTENT_LIMIT) fail(`${what}: more than ${CONTENT_LIMIT} bytes and no end`);
      packets.push(packet);
    }
    return Buffer.concat(packets, size);
  }
}
