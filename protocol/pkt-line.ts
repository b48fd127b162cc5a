/** Reading and writing packets: bounded memory, any chunking (gitprotocol-common(5), "pkt-line Format"). */

import type { Writable } from "node:stream";
import { OdbError } from "../src/errors.js";
import type { Content } from "../src/object/content.js";
import { OutputQueue } from "./output.js";
import {
  chomp,
  type Decoded,
  decodePacket,
  encodeLength,
  MAX_PAYLOAD,
  type Packet,
  type PacketObserver,
} from "./packet.js";

export {
  chomp,
  type Decoded,
  decodePacket,
  encodeLength,
  MAX_PAYLOAD,
  type Packet,
  type PacketObserver,
} from "./packet.js";

/** Options of {@link PktReader} and {@link PktWriter}. */
export interface PktOptions {
  readonly onPacket?: PacketObserver | undefined;
}

/**
 * Reads packets from a stream of bytes in any chunking. Holds one chunk of the input and at most one packet more.
 *
 * A payload is a view of memory that the reader does not touch again.
 */
export class PktReader {
  readonly #input: AsyncIterator<Uint8Array>;
  readonly #onPacket: PacketObserver | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(input: AsyncIterable<Uint8Array>, options: PktOptions = {}) {
    this.#input = input[Symbol.asyncIterator]();
    this.#onPacket = options.onPacket;
  }

  /**
   * The next packet; undefined at the end of the input, between two packets.
   *
   * @throws OdbError protocol, on a bad length and on an end inside a packet
   */
  async read(): Promise<Packet | undefined> {
    let decoded = decodePacket(this.#bytes, this.#at);
    while (!decoded.whole) {
      if (!(await this.#gather(decoded.need))) return undefined;
      decoded = decodePacket(this.#bytes, this.#at);
    }
    return this.#consume(decoded);
  }

  /** The next packet as text without its LF; `null` for a flush-pkt, undefined at the end. Throws as {@link read}. */
  async readLine(): Promise<string | null | undefined> {
    const packet = await this.read();
    return packet ? chomp(packet) : packet;
  }

  /**
   * The lines up to the next flush-pkt.
   *
   * @param limit how many are accepted
   * @throws OdbError protocol, on more than `limit` of them and on an end before the flush-pkt
   */
  async readLines(limit: number): Promise<string[]> {
    const lines = await this.readLinesOrEnd(limit);
    if (lines === undefined) throw endBeforeFlush();
    return lines;
  }

  /** As {@link readLines}; undefined at the end of the input. What has come already is read without waiting. */
  async readLinesOrEnd(limit: number): Promise<string[] | undefined> {
    const lines: string[] = [];
    for (;;) {
      const decoded = decodePacket(this.#bytes, this.#at);
      if (!decoded.whole) {
        if (await this.#gather(decoded.need)) continue;
        if (lines.length === 0) return undefined;
        throw endBeforeFlush();
      }
      const packet = this.#consume(decoded);
      if (packet === null) return lines;
      if (lines.length === limit)
        throw new OdbError("protocol", `more than ${limit} lines before a flush-pkt`);
      lines.push(chomp(packet));
    }
  }

  /** The payloads up to the next flush-pkt, which is consumed too. Throws as {@link readLines}. */
  async *readContent(): AsyncGenerator<Buffer, void, void> {
    for (;;) {
      const packet = await this.read();
      if (packet === null) return;
      if (packet === undefined) throw endBeforeFlush();
      yield packet;
    }
  }

  /** Ends the input early. */
  async close(): Promise<void> {
    await this.#input.return?.();
  }

  #consume({ packet, end }: Decoded & { whole: true }): Packet {
    this.#at = end;
    this.#onPacket?.(packet);
    return packet;
  }

  /** Makes `need` bytes from the current place available, in one piece. @returns false at a clean end */
  async #gather(need: number): Promise<boolean> {
    let size = this.#bytes.length - this.#at;
    let pieces: Uint8Array[] = size > 0 ? [this.#bytes.subarray(this.#at)] : [];
    while (size < need) {
      const next = await this.#nextChunk();
      if (next === undefined) break;
      size += next.length;
      if (pieces.push(next) > MAX_PIECES) pieces = [Buffer.concat(pieces)];
    }
    this.#bytes = joined(pieces);
    this.#at = 0;
    if (size >= need) return true;
    if (size === 0) return false;
    throw new OdbError("protocol", `the stream ends inside a packet (after ${size} of its ${need} bytes)`);
  }

  async #nextChunk(): Promise<Uint8Array | undefined> {
    for (;;) {
      const next = await this.#input.next();
      if (next.done) return undefined;
      if (next.value.length > 0) return next.value;
    }
  }
}

/** A packet that comes byte by byte is joined in steps of this many pieces: little memory, little copying. */
const MAX_PIECES = 64;

/**
 * Writes packets. What is queued goes out with {@link send}, an answer at a time.
 *
 * Nothing else may write to the output. Its errors come out of {@link send}.
 */
export class PktWriter {
  readonly #output: OutputQueue;
  readonly #onPacket: PacketObserver | undefined;

  constructor(output: Writable, options: PktOptions = {}) {
    this.#output = new OutputQueue(output);
    this.#onPacket = options.onPacket;
  }

  /** Queues a text packet: `text` and a LF. */
  line(text: string): void {
    this.packet(Buffer.from(`${text}\n`));
  }

  /** Queues one packet with exactly this payload, at most {@link MAX_PAYLOAD} bytes; empty gives `0004`. */
  packet(payload: Uint8Array): void {
    if (payload.length > MAX_PAYLOAD) {
      throw new OdbError("bug", `a packet carries at most ${MAX_PAYLOAD} bytes, not ${payload.length}`);
    }
    this.#packetOf([payload], payload.length);
  }

  /** Queues a flush-pkt. */
  flushPkt(): void {
    this.#onPacket?.(null);
    this.#output.push(FLUSH);
  }

  /** Queues bytes as they are, framing and all: for a peer that breaks the rules on purpose. */
  raw(bytes: Uint8Array): void {
    this.#output.push(bytes);
  }

  /**
   * Sends content in packets that are full, all but the last, whatever its chunking; none for empty content. When
   * `content` throws, whole packets have been queued or sent, and the session can go on.
   */
  async content(content: Content): Promise<void> {
    let pieces: Uint8Array[] = [];
    let size = 0;
    for await (let chunk of content) {
      while (size + chunk.length >= MAX_PAYLOAD) {
        const part = chunk.subarray(0, MAX_PAYLOAD - size);
        this.#packetOf([...pieces, part], MAX_PAYLOAD);
        chunk = chunk.subarray(part.length);
        pieces = [];
        size = 0;
      }
      if (chunk.length > 0) pieces.push(chunk);
      size += chunk.length;
      if (this.#output.isFull) await this.send();
    }
    if (size > 0) this.#packetOf(pieces, size);
  }

  /**
   * Hands what is queued to the output, and waits while the peer is slower.
   *
   * @throws OdbError aborted (a closed pipe) or what else befell the output
   */
  send(): Promise<void> {
    return this.#output.send();
  }

  /** Sends what is queued and ends the output. */
  end(): Promise<void> {
    return this.#output.end();
  }

  #packetOf(pieces: readonly Uint8Array[], size: number): void {
    this.#onPacket?.(Buffer.concat(pieces, size));
    this.#output.push(encodeLength(size));
    for (const piece of pieces) this.#output.push(piece);
  }
}

const FLUSH = Buffer.from("0000");

function joined(pieces: readonly Uint8Array[]): Buffer {
  const [only] = pieces;
  if (pieces.length !== 1 || only === undefined) return Buffer.concat(pieces);
  return Buffer.isBuffer(only) ? only : Buffer.from(only.buffer, only.byteOffset, only.length);
}

function endBeforeFlush(): OdbError {
  return new OdbError("protocol", "the stream ends where a packet or a flush-pkt was expected");
}
