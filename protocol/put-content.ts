/** Content on its way through a command: that of a put, and its length held against what was announced. */

import { OdbError } from "../src/errors.js";
import type { Content } from "../src/object/content.js";
import type { ObjectInfo } from "../src/object/info.js";
import type { PktReader } from "./pkt-line.js";

/** The content of a put, as far as its flush-pkt. */
export interface PutContent extends AsyncIterable<Uint8Array> {
  /** Reads what a handler left of it. @returns how many bytes there were, all in all */
  drain(): Promise<number>;
}

/** What follows a put's lines. */
export function putContentOf(reader: PktReader): PutContent {
  let received = 0;
  let open = true;
  async function* packets() {
    for await (const packet of reader.readContent()) {
      received += packet.length;
      yield packet;
    }
    open = false;
  }
  const content = packets();
  return {
    [Symbol.asyncIterator]: () => content,
    async drain() {
      // Waits for a read that a handler left behind.
      await content.return();
      while (open) for await (const _ of packets());
      return received;
    },
  };
}

/** Passes content on, and throws `integrity` at the first byte too many and at an early end. */
export async function* exactly(info: ObjectInfo, content: Content): Content {
  let left = info.size;
  for await (const chunk of content) {
    left -= chunk.length;
    if (left < 0) throw new OdbError("integrity", `more bytes than the ${info.size} announced`);
    yield chunk;
  }
  if (left > 0) throw new OdbError("integrity", `${left} of the ${info.size} bytes announced are missing`);
}
