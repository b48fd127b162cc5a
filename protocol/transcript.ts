/**
 * One notation for packets, in documentation, traces and golden tests: `packet: git> command=have` is a packet from
 * git, `git<` one from the helper, `0000` a flush-pkt (docs/protocol.md, "Notation").
 */

import { OdbError } from "../src/errors.js";
import { tracer } from "../src/trace.js";
import type { Packet, PacketObserver } from "./pkt-line.js";

/** Who speaks: `git>` is said by git, `git<` by the helper. */
export type Direction = "git>" | "git<";

/** One line of a transcript. */
export interface Spoken {
  readonly direction: Direction;
  readonly packet: Packet;
}

/** Of a packet's payload a trace shows this much. */
const SHOWN = 128;

/**
 * The line for a packet, without its LF. A final LF of the payload is not shown; a payload without one ends in `\`
 * (its last character cannot be a backslash otherwise: that is doubled). Other bytes than printable ASCII stand as `\xNN`.
 */
export function formatPacket(direction: Direction, packet: Packet): string {
  return `packet: ${direction} ${packet === null ? "0000" : formatPayload(packet)}`;
}

/** @throws OdbError invalid, when the line is not one of {@link formatPacket} */
export function parsePacket(line: string): Spoken {
  const found = /^packet: (git[<>]) (.*)$/.exec(line);
  if (!found)
    throw new OdbError("invalid", `${JSON.stringify(line.slice(0, 120))} is no line of a transcript`);
  const [, direction, text = ""] = found;
  return { direction: direction as Direction, packet: text === "0000" ? null : parsePayload(text) };
}

/** The packets of a transcript; lines that are empty or start with `#` are left out. Throws as {@link parsePacket}. */
export function parseTranscript(text: string): Spoken[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map(parsePacket);
}

/** Writes packets to GIT_ODB_TRACE, if that is on: long ones cut short. */
export function packetTracer(direction: Direction): PacketObserver | undefined {
  const trace = tracer();
  if (trace === undefined) return undefined;
  return (packet) => {
    if (packet === null || packet.length <= SHOWN) trace(formatPacket(direction, packet));
    else trace(`${formatPacket(direction, packet.subarray(0, SHOWN))}... (${packet.length} bytes)`);
  };
}

function formatPayload(payload: Buffer): string {
  const ended = payload.at(-1) === 0x0a;
  const text = (ended ? payload.subarray(0, -1) : payload)
    .toString("latin1")
    .replace(/[^\x20-\x7e]|\\/g, (char) => (char === "\\" ? "\\\\" : escaped(char)));
  if (!ended) return `${text}\\`;
  return text === "0000" ? `${escaped("0")}000` : text;
}

function escaped(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

function parsePayload(text: string): Buffer {
  const bytes: Buffer[] = [];
  const token = /\\x([0-9a-f]{2})|\\\\|\\$|[^\\]+/gy;
  let ended = true;
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at;
    const found = token.exec(text);
    if (!found)
      throw new OdbError("invalid", `${JSON.stringify(text.slice(0, 120))}: an escape that is none`);
    const [all, hex] = found;
    if (hex !== undefined) bytes.push(Buffer.from(hex, "hex"));
    else if (all === "\\") ended = false;
    else bytes.push(Buffer.from(all === "\\\\" ? "\\" : all, "latin1"));
  }
  if (ended) bytes.push(Buffer.from("\n"));
  return Buffer.concat(bytes);
}
