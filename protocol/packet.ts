/** One packet: four hex digits of length, then the payload; `0000` is a flush-pkt (gitprotocol-common(5)). Pure. */

import { OdbError } from "../src/errors.js";

/** The most bytes that one packet carries: a packet length of 65520 (`LARGE_PACKET_MAX`) less its four digits. */
export const MAX_PAYLOAD = 65516;

/** A packet's payload, 8-bit clean and with its LF if it had one; `null` is a flush-pkt. */
export type Packet = Buffer | null;

/** What {@link decodePacket} finds: a whole packet and where the next one starts, or how many bytes a whole one takes. */
export type Decoded =
  | { readonly whole: true; readonly packet: Packet; readonly end: number }
  | { readonly whole: false; readonly need: number };

/** Sees every packet that passes, before it is handed on. */
export type PacketObserver = (packet: Packet) => void;

const LENGTH_DIGITS = 4;

/**
 * Decodes the packet at `start`; does no input. `need` counts from `start`: 4 until the length is known, then the
 * packet's length. The payload is a view of `bytes`.
 *
 * `0004` is an empty packet. git sends lower-case digits and reads both.
 *
 * @throws OdbError protocol, when no packet can start with these bytes
 */
export function decodePacket(bytes: Buffer, start = 0): Decoded {
  const held = bytes.length - start;
  if (held < LENGTH_DIGITS) return { whole: false, need: LENGTH_DIGITS };
  const length = parseLength(bytes, start);
  if (length === 0) return { whole: true, packet: null, end: start + LENGTH_DIGITS };
  if (held < length) return { whole: false, need: length };
  return { whole: true, packet: bytes.subarray(start + LENGTH_DIGITS, start + length), end: start + length };
}

/** The four digits before a payload of `size` bytes. */
export function encodeLength(size: number): Buffer {
  return Buffer.from((size + LENGTH_DIGITS).toString(16).padStart(LENGTH_DIGITS, "0"), "latin1");
}

/** The text of a packet, without the LF it may end in. */
export function chomp(packet: Buffer): string {
  const end = packet.at(-1) === 0x0a ? packet.length - 1 : packet.length;
  return packet.toString("utf8", 0, end);
}

/** The value of the four digits at `start`; 0 for a flush-pkt. */
function parseLength(bytes: Buffer, start: number): number {
  let length = 0;
  for (let at = start; at < start + LENGTH_DIGITS; at++) {
    const digit = hexDigit(bytes[at] ?? 0);
    if (digit < 0) throw badLength(bytes, start, "no hexadecimal packet length");
    length = length * 16 + digit;
  }
  if (length > 0 && length < LENGTH_DIGITS) throw badLength(bytes, start, "a packet of no kind known here");
  if (length > MAX_PAYLOAD + LENGTH_DIGITS) throw badLength(bytes, start, "a packet length above 65520");
  return length;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function badLength(bytes: Buffer, start: number, what: string): OdbError {
  const shown = JSON.stringify(bytes.toString("latin1", start, start + LENGTH_DIGITS));
  return new OdbError("protocol", `${shown} is ${what}: was something printed between packets?`);
}
