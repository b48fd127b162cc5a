/** The check of loose bytes by whoever asked for them: they pass through while their inflated form is hashed. */

import { OdbError } from "../src/errors.js";
import { type Content, type Verifier, verifier } from "../src/object/content.js";
import type { ObjectId } from "../src/object/id.js";
import { createInflater, inflateAtOnce } from "../src/object/inflate.js";
import { parseLooseHeader } from "../src/object/loose.js";

/** Up to this size an object is checked by one synchronous call: an inflating stream costs 200 µs. */
const SYNC_LIMIT = 64 * 1024;

/** 64 KiB of zlib data inflate to no more than this: its ratio is at most 1032. */
const INFLATED_LIMIT = 1032 * SYNC_LIMIT;

/** "commit 9007199254740991\0" is 24 bytes; git reads at most 32. */
const HEADER_LIMIT = 32;

/**
 * Passes a loose object on. What comes is unproved until the stream ends.
 *
 * @throws OdbError integrity, before its end, unless it is one whole loose object that hashes to `oid`
 */
export async function* verifiedLoose(oid: ObjectId, loose: Content): Content {
  const iterator = loose[Symbol.asyncIterator]();
  try {
    const held: Uint8Array[] = [];
    let size = 0;
    let step = await iterator.next();
    for (; !step.done && size + step.value.length <= SYNC_LIMIT; step = await iterator.next()) {
      held.push(step.value);
      size += step.value.length;
    }
    const head = Buffer.concat(held);
    if (!step.done) yield* inflatedBeside(oid, [head, step.value], iterator);
    else {
      checkAtOnce(oid, head);
      yield head;
    }
  } finally {
    await iterator.return?.();
  }
}

function checkAtOnce(oid: ObjectId, loose: Buffer): void {
  const { content, consumed } = inflateAtOnce(loose, INFLATED_LIMIT, `object ${oid}`);
  const check = looseVerifier(oid);
  check.update(content);
  if (consumed !== loose.length) throw surplus(oid);
  check.finish();
}

async function* inflatedBeside(
  oid: ObjectId,
  head: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): Content {
  const check = looseVerifier(oid);
  const inflater = createInflater(`object ${oid}`, (chunk) => check.update(chunk));
  const feed = async (chunk: Uint8Array) => {
    if ((await inflater.feed(chunk)) !== chunk.length) throw surplus(oid);
  };
  try {
    for (const chunk of head) {
      await feed(chunk);
      yield chunk;
    }
    for (let step = await rest.next(); !step.done; step = await rest.next()) {
      await feed(step.value);
      yield step.value;
    }
    await inflater.finish();
    check.finish();
  } finally {
    inflater.close();
  }
}

/** Reads the header from the first bytes, then checks the content that it announces. */
function looseVerifier(oid: ObjectId): Verifier {
  let head = Buffer.alloc(0);
  let check: Verifier | undefined;
  return {
    update(chunk) {
      if (check) return check.update(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.subarray(0, HEADER_LIMIT).indexOf(0);
      if (end < 0 && head.length < HEADER_LIMIT) return;
      check = verifier({
        oid,
        ...parseLooseHeader(head.toString("latin1", 0, Math.max(end, 0)), `object ${oid}`),
      });
      check.update(head.subarray(end + 1));
    },
    finish() {
      if (!check) throw new OdbError("integrity", `object ${oid}: no loose object`);
      check.finish();
    },
  };
}

function surplus(oid: ObjectId): OdbError {
  return new OdbError("integrity", `object ${oid}: bytes behind the end of its zlib data`);
}
