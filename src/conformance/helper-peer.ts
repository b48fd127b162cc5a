/** What the cases drive: a helper behind either mode (or a handler in this process), with its answers unjudged. */

import type { ObjectId } from "../object/id.js";

/** A blob that the harness made. */
export interface Sample {
  readonly oid: ObjectId;
  readonly bytes: Buffer;
}

/** What is offered to a helper by a put: true, unless a case wants it false. */
export interface Offer {
  readonly oid: string;
  /** As announced, in bytes. */
  readonly size: number;
  /** The content, one element a packet in process mode; each at most 65516 bytes. */
  readonly packets: readonly Uint8Array[];
}

/** The answer to a get. */
export interface Got {
  /** git's word. Script mode has exit codes only: 0 is `success`, anything else `error`. */
  readonly status: string;
  /** The raw content, when the status is `success`. */
  readonly content?: Buffer;
  /** The bytes that came, undecoded (script mode: stdout), whatever the status. */
  readonly wire?: Buffer;
  /** How the answer breaks the form that git expects, if it does. */
  readonly misshapen?: string;
  /** `size=` and `kind=` of get_raw_obj. */
  readonly header?: { readonly size: string; readonly kind: string };
}

/** A helper to talk to. */
export interface Peer {
  /** The capabilities that it named, as it named them. */
  readonly offers: readonly string[];
  /** @returns the status */
  put(offer: Offer): Promise<string>;
  get(oid: string): Promise<Got>;
  /** Hands every line, without its LF, to `visit` as it comes: memory stays bounded. @returns the status */
  have(visit: (line: string) => void): Promise<string>;
  /** What it said last on stderr, as the end of a message; empty when nothing. */
  said(): Promise<string>;
  /** Ends the session as git does, and waits. */
  close(): Promise<void>;
  /** Ends it at once, whatever it is doing. */
  kill(): void;
}

/** The gets in the order in which that git prefers them. */
export const gets = ["get_git_obj", "get_raw_obj", "get_direct"] as const;

/** Which get that git would use. */
export function getOf(offers: readonly string[]): (typeof gets)[number] | undefined {
  return gets.find((get) => offers.includes(get));
}

/** The most that a get of the harness reads, in bytes: well above its largest sample. */
export const CONTENT_LIMIT = 64 * 1024 * 1024;

/** Whole packets of `size` bytes each, the last one with the rest. */
export function packetsOf(bytes: Uint8Array, size = 65516): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) packets.push(bytes.subarray(at, at + size));
  return packets;
}

/** A true offer of a sample. */
export function offerOf(sample: Sample): Offer {
  return { oid: sample.oid, size: sample.bytes.length, packets: packetsOf(sample.bytes) };
}
