/** From the encoding an object is stored in to the one that is asked for, verified on the way. */

import { type Content, verified, verifyHeaded } from "../object/content.js";
import type { ObjectInfo } from "../object/info.js";
import { decodeLoose, deflateHeaded, encodeLoose, looseHeader } from "../object/loose.js";
import { differentHeader, verifiedLoose } from "../object/verified-loose.js";
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
  if (encoding === "loose") return verifiedLoose(info, content);
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
