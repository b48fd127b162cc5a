/** The check of loose bytes on their way: they pass through while their inflated form is hashed. */

import { OdbError } from "../errors.js";
import { type Content, type Verifier, verifier } from "./content.js";
import type { ObjectId } from "./id.js";
import { createInflater, inflateAtOnce } from "./inflate.js";
import type { ObjectInfo } from "./info.js";
import { type LooseHeader, looseHeader, parseLooseHeader } from "./loose.js";

/** The object's id, and its type and size where they are known beforehand. */
export type LooseObject = Pick<ObjectInfo, "oid"> & Partial<LooseHeader>;

/** Up to this size an object is checked by one synchronous call: an inflating stream costs 200 µs. */
const SYNC_LIMIT = 64 * 1024;

/** 64 KiB of zlib data inflate to no more than this: its ratio is at most 1032. */
const INFLATED_LIMIT = 1032 * SYNC_LIMIT;

/** "commit 9007199254740991\0" is 24 bytes; git reads at most 32. */
const HEADER_LIMIT = 32;

/**
 * Passes a loose object on. What comes is unproved until the stream ends.
 *
 * @throws OdbError integrity, before its end, unless it is one whole loose object that hashes to the id, of the type
 *   and size that are known
 */
export async function* verifiedLoose(object: LooseObject, loose: Content): Content {
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
    if (!step.done) yield* inflatedBeside(object, [head, step.value], iterator);
    else {
      checkAtOnce(object, head);
      if (head.length > 0) yield head;
    }
  } finally {
    await iterator.return?.();
  }
}

function checkAtOnce(object: LooseObject, loose: Uint8Array): void {
  const { content, consumed } = inflateAtOnce(loose, inflatedLimit(object), `object ${object.oid}`);
  const check = looseVerifier(object);
  check.update(content);
  if (consumed !== loose.length) throw surplus(object.oid);
  check.finish();
}

async function* inflatedBeside(
  object: LooseObject,
  head: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): Content {
  const check = looseVerifier(object);
  const inflater = createInflater(`object ${object.oid}`, (chunk) => check.update(chunk));
  const feed = async (chunk: Uint8Array) => {
    if ((await inflater.feed(chunk)) !== chunk.length) throw surplus(object.oid);
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

/** What at most is inflated at once: a little more than is known to come, so that surplus is seen. */
function inflatedLimit({ type, size }: LooseObject): number {
  if (type === undefined || size === undefined) return INFLATED_LIMIT;
  return looseHeader({ type, size }).length + size;
}

/** Reads the header from the first bytes, then checks the content that it announces. */
function looseVerifier(object: LooseObject): Verifier {
  let head = Buffer.alloc(0);
  let check: Verifier | undefined;
  return {
    update(chunk) {
      if (check) return check.update(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.subarray(0, HEADER_LIMIT).indexOf(0);
      if (end < 0 && head.length < HEADER_LIMIT) return;
      check = verifier(announced(object, head.toString("latin1", 0, Math.max(end, 0))));
      check.update(head.subarray(end + 1));
    },
    finish() {
      if (!check) throw new OdbError("integrity", `object ${object.oid}: no loose object`);
      check.finish();
    },
  };
}

function announced(object: LooseObject, text: string): ObjectInfo {
  const header = parseLooseHeader(text, `object ${object.oid}`);
  const { oid, type = header.type, size = header.size } = object;
  if (header.type === type && header.size === size) return { oid, type, size };
  throw differentHeader({ oid, type, size }, text);
}

/** The error for a loose header that says another type or size than is known. */
export function differentHeader(info: ObjectInfo, found: string): OdbError {
  const expected = `${info.type} ${info.size}`;
  return new OdbError(
    "integrity",
    `object ${info.oid}: its loose header says ${JSON.stringify(found)} instead of ${expected}`,
  );
}

function surplus(oid: ObjectId): OdbError {
  return new OdbError("integrity", `object ${oid}: bytes behind the end of its zlib data`);
}
