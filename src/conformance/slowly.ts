/** One byte a write, with pauses: so that a length or a line is really read in parts. */

import { Writable } from "node:stream";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";

/** Passes bytes on one by one; now and then it rests. */
export function byteByByte(output: Writable): Writable {
  let count = 0;
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      (async () => {
        for (const byte of chunk) {
          output.write(Buffer.of(byte));
          count += 1;
          await (count % 50 === 1 ? sleep(5) : turn());
        }
      })().then(() => done(), done);
    },
  });
}

/** As {@link byteByByte}, to the end of `stdin`. */
export async function writeSlowly(stdin: Writable, content: readonly Uint8Array[]): Promise<void> {
  let count = 0;
  for (const byte of Buffer.concat(content)) {
    await written(stdin, Buffer.of(byte));
    count += 1;
    await (count % 50 === 1 ? sleep(5) : turn());
  }
  stdin.end();
}

/** Writes a chunk, and waits until it is gone. */
export function written(stdin: Writable, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stdin.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}
