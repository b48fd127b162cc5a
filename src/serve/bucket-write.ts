/** The writing half of the bucket dialect: PUT, DELETE and copy of keys (docs/http-dialect.md). */

import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Bucket, WriteOptions } from "../bucket/bucket.js";
import { checkKey } from "../bucket/keys.js";
import { OdbError } from "../errors.js";
import { spool } from "../object/spool.js";
import { type Answer, parsing, textAnswer } from "./answer.js";
import { formatEtag, parseEtag } from "./conditions.js";
import { type Exchange, receive } from "./exchange.js";

/**
 * Answers PUT of a key. The body is set aside until it is whole and checked: until then nothing in the bucket
 * changes.
 *
 * @param maxSize in bytes
 */
export async function writeKey(
  bucket: Bucket,
  key: string,
  exchange: Exchange,
  maxSize: number,
): Promise<Answer> {
  const { headers } = exchange.request;
  const length = headers["content-length"];
  if (length === undefined) return textAnswer(411, "a PUT needs Content-Length");
  if (Number(length) > maxSize) return textAnswer(413, `at most ${maxSize} bytes are accepted`);
  const conditions = parsing(() => writeOptions(headers));
  if ("refusal" in conditions) return conditions.refusal;
  const options = conditions.value;
  await using spooled = await receiveWhole(bucket, exchange, options.sha256);
  const outcome = await bucket.write(key, spooled, { ...options, signal: exchange.signal });
  if (!outcome.written) return textAnswer(412, `${key}: the condition does not hold, nothing was written`);
  const etag = outcome.etag === undefined ? {} : { etag: formatEtag(outcome.etag) };
  return { status: options.ifAbsent ? 201 : 204, headers: etag };
}

/** Answers DELETE of a key: gone afterwards, whether it was there or not. */
export async function removeKey(bucket: Bucket, key: string, { signal }: Exchange): Promise<Answer> {
  await bucket.remove([key], { signal });
  return { status: 204 };
}

/** Answers `POST /<folder>?copy&from=<key>&to=<key>`. */
export async function copyKey(bucket: Bucket, folder: string, { target, signal }: Exchange): Promise<Answer> {
  const from = target.query.get("from") ?? "";
  const to = target.query.get("to") ?? "";
  const keys = parsing(() => [from, to].forEach(checkKey));
  if ("refusal" in keys) return keys.refusal;
  return (await bucket.copy(folder + from, folder + to, { signal }))
    ? { status: 204 }
    : textAnswer(404, `${from}: not here`);
}

async function receiveWhole(bucket: Bucket, exchange: Exchange, sha256: string | undefined) {
  const { stagingDirectory } = bucket;
  const hash = sha256 === undefined ? undefined : createHash("sha256");
  const spooled = await spool(receive(exchange), {
    signal: exchange.signal,
    ...(stagingDirectory === undefined ? {} : { directory: stagingDirectory }),
    ...(hash && { inspect: (chunk) => void hash.update(chunk) }),
  });
  if (hash === undefined || hash.digest("hex") === sha256) return spooled;
  await spooled[Symbol.asyncDispose]();
  throw new OdbError("integrity", "the body has another SHA-256 than X-Odb-Sha256 says");
}

/** @throws OdbError invalid */
function writeOptions(headers: IncomingHttpHeaders): WriteOptions {
  const ifNoneMatch = headers["if-none-match"];
  const ifMatch = headers["if-match"];
  const sha256 = headers["x-odb-sha256"];
  if (ifNoneMatch !== undefined && ifMatch !== undefined) {
    throw new OdbError("invalid", "If-None-Match and If-Match exclude each other");
  }
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== "*") {
    throw new OdbError("invalid", "a PUT takes no other If-None-Match than *");
  }
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(String(sha256))) {
    throw new OdbError("invalid", "X-Odb-Sha256 takes 64 lower-case hex digits");
  }
  for (const name of ["content-encoding", "content-range"]) {
    if (headers[name] !== undefined) throw new OdbError("invalid", `a PUT takes no ${name}`);
  }
  return {
    ...(ifNoneMatch !== undefined && { ifAbsent: true }),
    ...(ifMatch !== undefined && { ifMatch: parseEtag(ifMatch) }),
    ...(sha256 !== undefined && { sha256: String(sha256) }),
    ...(headers["content-type"] !== undefined && { contentType: headers["content-type"] }),
  };
}
