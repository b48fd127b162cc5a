/** Packets of git's own fetch protocol, which has more marks than the helpers' (gitprotocol-v2(5), "Packet-Line Framing"). */

import type { Writable } from "node:stream";
import { chomp, encodeLength, MAX_PAYLOAD } from "../../protocol/pkt-line.js";
import { OdbError } from "../errors.js";
import { ByteReader } from "../pack/byte-reader.js";

/** A payload, or a mark: flush-pkt (0000), delimiter-pkt (0001), response-end-pkt (0002). */
export type Packet = Buffer | "flush" | "delimiter" | "end";

const marks = ["flush", "delimiter", "end"] as const;

/** Reads packets from a stream, in bounded memory. */
export class PacketReader {
  readonly #reader: ByteReader;
  readonly #what: string;

  /** @param what names the peer in errors */
  constructor(input: AsyncIterable<Uint8Array>, what: string) {
    this.#reader = new ByteReader(input, what);
    this.#what = what;
  }

  /**
   * The next packet; a payload is valid until the next call.
   *
   * @returns undefined at the end of the stream, between two packets
   * @throws OdbError protocol; unavailable, when the stream ends inside a packet or the peer says `ERR`
   */
  async read(): Promise<Packet | undefined> {
    if (!(await this.#reader.fill(4))) {
      if (this.#reader.buffered.length === 0) return undefined;
      throw this.#cut();
    }
    const digits = this.#reader.buffered.toString("latin1", 0, 4);
    const length = /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : Number.NaN;
    if (length < marks.length) {
      this.#reader.skip(4);
      return marks[length] ?? "flush";
    }
    if (!(length >= 4 && length <= MAX_PAYLOAD + 4)) {
      throw new OdbError("protocol", `${this.#what}: ${JSON.stringify(digits)} is no packet length`);
    }
    if (!(await this.#reader.fill(length))) throw this.#cut();
    const payload = this.#reader.buffered.subarray(4, length);
    this.#reader.skip(length);
    return payload;
  }

  /** The next packet as text without its LF, each byte a character: names of refs need not be UTF-8. */
  async readLine(): Promise<string | Exclude<Packet, Buffer> | undefined> {
    const packet = await this.read();
    if (!Buffer.isBuffer(packet)) return packet;
    const line = packet.toString("latin1").replace(/\n$/, "");
    if (!line.startsWith("ERR ")) return line;
    throw new OdbError("unavailable", `${this.#what}: ${chomp(packet).slice(4).trim()}`);
  }

  #cut(): OdbError {
    return new OdbError("unavailable", `${this.#what}: the connection ended inside a packet`);
  }
}

/** A line as a packet. */
export function linePacket(text: string): Buffer {
  const payload = Buffer.from(`${text}\n`, "latin1");
  return Buffer.concat([encodeLength(payload.length), payload]);
}

/** The marks as they are sent. */
export const flushPacket: Buffer = Buffer.from("0000");
export const delimiterPacket: Buffer = Buffer.from("0001");

/** Sends packets, gathered to few writes, at the pace of the peer. A peer that is gone shows in its answer. */
export async function sendPackets(output: Writable, packets: Iterable<Buffer>): Promise<void> {
  let held: Buffer[] = [];
  let size = 0;
  const send = async () => {
    const bytes = Buffer.concat(held, size);
    held = [];
    size = 0;
    if (!output.destroyed && !output.write(bytes)) await drained(output);
  };
  for (const packet of packets) {
    held.push(packet);
    size += packet.length;
    if (size >= MAX_PAYLOAD) await send();
  }
  await send();
}

function drained(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      output.off("drain", done).off("close", done);
      resolve();
    };
    output.on("drain", done).on("close", done);
    if (output.destroyed) done();
  });
}
