/** From the encoding an object is stored in to the one that is asked for, verified on the way. */

import { OdbError } from "../errors.js";
import { type Content, type Verifier, verified, verifier, verifyHeaded } from "../object/content.js";
import { createInflater, inflateAtOnce } from "../object/inflate.js";
import type { ObjectInfo } from "../object/info.js";
import { decodeLoose, deflateHeaded, encodeLoose, looseHeader } from "../object/loose.js";
import type { StoredObject } from "./store.js";

/** Up to this size an object is gathered and handled by one synchronous call: a stream costs 200 µs. */
const SYNC_LIMIT = 64 * 1024;

/**
 * The object's own bytes. A consumer must treat them as unproved until the stream ends.
 *
 * @throws OdbError integrity, before its end, when they are not the object
 */
export function asRaw(stored: StoredObject): Content {
  return verified(stored.encoding === "raw" ? stored.content : decoded(stored), stored.info);
}

/**
 * git's loose form of the object. What is stored loose passes through byte for byte and is inflated only to be
 * hashed; nothing is deflated again.
 *
 * @throws OdbError integrity, before its end, when it is not the object
 */
export function asLoose(stored: StoredObject): Content {
  const { info, content, encoding } = stored;
  if (encoding === "loose") return looseThrough(info, content);
  return info.size <= SYNC_LIMIT ? deflatedAtOnce(info, content) : encodeLoose(info, verified(content, info));
}

async function* decoded(stored: StoredObject): Content {
  const { header, content } = await decodeLoose(stored.content, `object ${stored.info.oid}`);
  if (header.type !== stored.info.type || header.size !== stored.info.size) {
    await content[Symbol.asyncIterator]().return?.();
    throw differentHeader(stored.info, `${header.type} ${header.size}`);
  }
  yield* content;
}

async function* deflatedAtOnce(info: ObjectInfo, content: Content): Content {
  const chunks: Uint8Array[] = [looseHeader(info)];
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (size > info.size) break;
    chunks.push(chunk);
  }
  const headed = Buffer.concat(chunks);
  verifyHeaded(info, headed, size);
  yield deflateHeaded(headed);
}

/** Gathers up to SYNC_LIMIT; what ends within it is checked by one synchronous inflate, the rest by a stream. */
async function* looseThrough(info: ObjectInfo, loose: Content): Content {
  const iterator = loose[Symbol.asyncIterator]();
  try {
    const held: Uint8Array[] = [];
    let size = 0;
    let step = await iterator.next();
    while (!step.done && size + step.value.length <= SYNC_LIMIT) {
      held.push(step.value);
      size += step.value.length;
      step = await iterator.next();
    }
    const head = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
    if (step.done) {
      checkLoose(info, head);
      if (head.length > 0) yield head;
    } else {
      yield* inflatedBeside(info, [head, step.value], iterator);
    }
  } finally {
    await iterator.return?.();
  }
}

/** @throws OdbError integrity, unless `loose` is the whole object that `info` names and nothing else */
function checkLoose(info: ObjectInfo, loose: Uint8Array): void {
  const check = looseVerifier(info);
  const limit = looseHeader(info).length + info.size;
  const { content, consumed } = inflateAtOnce(loose, limit, `object ${info.oid}`);
  check.update(content);
  if (consumed !== loose.length) throw surplus(info);
  check.finish();
}

/** Passes chunks on while an inflater hashes them at the same pace. */
async function* inflatedBeside(
  info: ObjectInfo,
  head: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): Content {
  const check = looseVerifier(info);
  const inflater = createInflater(`object ${info.oid}`, (chunk) => check.update(chunk));
  const feed = async (chunk: Uint8Array) => {
    if ((await inflater.feed(chunk)) !== chunk.length) throw surplus(info);
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

/** Checks the header's bytes, then the content behind it. */
function looseVerifier(info: ObjectInfo): Verifier {
  const header = looseHeader(info);
  const check = verifier(info);
  let seen = 0;
  return {
    update(chunk) {
      const part = chunk.subarray(0, header.length - seen);
      if (!header.subarray(seen, seen + part.length).equals(part)) {
        throw differentHeader(
          info,
          Buffer.from(chunk.subarray(0, 32)).toString("latin1").split("\0")[0] ?? "",
        );
      }
      seen += part.length;
      if (part.length < chunk.length) check.update(chunk.subarray(part.length));
    },
    finish() {
      if (seen < header.length) throw new OdbError("integrity", `object ${info.oid}: no loose object`);
      check.finish();
    },
  };
}

function differentHeader(info: ObjectInfo, found: string): OdbError {
  const expected = `${info.type} ${info.size}`;
  return new OdbError(
    "integrity",
    `object ${info.oid}: its loose header says ${JSON.stringify(found)} instead of ${expected}`,
  );
}

function surplus(info: ObjectInfo): OdbError {
  return new OdbError("integrity", `object ${info.oid}: bytes behind the end of its zlib data`);
}
