/**
 * Small zlib streams inflated by one engine that is used again and again: a fifth of what `inflateSync` costs, which makes a
 * stream with all its listeners for each. Node has no public way to it: the engine of its own class is borrowed, and only
 * where it is found to do what is expected of it.
 */

import { constants, createInflate, deflateSync } from "node:zlib";

/**
 * @param output has room for one byte more than the limit
 * @returns the failure alone, when it is no whole zlib stream
 */
export type InflateEngine = (
  bytes: Uint8Array,
  limit: number,
  output: Buffer,
) => Inflated | { readonly failure: string };

/** What came out: more than the limit by one byte, when there is more of it. */
export interface Inflated {
  /** In the output. */
  readonly content: Buffer;
  /** How many of the bytes it took. */
  readonly consumed: number;
  readonly failure?: undefined;
}

/** What is used of node:zlib's own. */
interface Handle {
  onerror(message: string): void;
  reset(): void;
  /** Leaves how many bytes are free of the output, and left of the input, in `_writeState`. */
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void;
}

/** @returns undefined when this Node has none that works */
export function inflateEngine(): InflateEngine | undefined {
  const stream = createInflate() as unknown as { _handle?: Partial<Handle>; _writeState?: unknown };
  const { _handle: handle, _writeState: state } = stream;
  if (!isHandle(handle) || !(state instanceof Uint32Array)) return undefined;
  let failure: string | undefined;
  handle.onerror = (message) => {
    failure = message;
  };
  const inflate: InflateEngine = (bytes, limit, output) => {
    failure = undefined;
    handle.reset();
    handle.writeSync(constants.Z_FINISH, bytes, 0, bytes.length, output, 0, limit + 1);
    if (failure !== undefined) return { failure };
    const [free = 0, left = 0] = state;
    return { content: output.subarray(0, limit + 1 - free), consumed: bytes.length - left };
  };
  return isSound(inflate) ? inflate : undefined;
}

function isHandle(handle: Partial<Handle> | undefined): handle is Handle {
  return typeof handle?.writeSync === "function" && typeof handle.reset === "function";
}

/** A whole stream, one cut short, one that is none, and a whole one again. */
function isSound(inflate: InflateEngine): boolean {
  try {
    const text = Buffer.from("an engine that is used again");
    const stream = deflateSync(text);
    const output = Buffer.alloc(text.length + 1);
    const isRight = () => {
      const { content, consumed } = inflate(Buffer.concat([stream, text]), text.length, output) as Inflated;
      return content.equals(text) && consumed === stream.length;
    };
    const fails = (bytes: Buffer) => inflate(bytes, text.length, output).failure !== undefined;
    return isRight() && fails(stream.subarray(0, -1)) && fails(text) && isRight();
  } catch {
    // Another Node may have something else under these names.
    return false;
  }
}
