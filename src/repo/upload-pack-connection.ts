/** What a connection to `git upload-pack` is, whatever the transport. */

import type { Readable, Writable } from "node:stream";

/** Both ends of a running upload-pack. */
export interface UploadPack {
  readonly output: Readable;
  readonly input: Writable;
  /**
   * Each request is answered by itself, and its answer ends with a response-end packet (0002), as over HTTP
   * (gitprotocol-v2(5)). Such a connection speaks version 2 only.
   */
  readonly stateless: boolean;
  /** What the other side, or the transport, said on stderr so far: the reason why an answer ended early. */
  complaint(): string;
  /** Ends it, however far it is. */
  close(): void;
}

/** How to connect. */
export interface UploadPackOptions {
  readonly signal?: AbortSignal;
}

/** In the environment of a git: asks for version 2 of the protocol. */
export const version2 = { GIT_PROTOCOL: "version=2" };
