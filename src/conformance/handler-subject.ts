/** What the handler cases are run on, and what they do with it. */

import { randomBytes } from "node:crypto";
import { inflateSync } from "node:zlib";
import type { OdbHandler } from "../../protocol/handler.js";
import { type Content, collect, hashObject } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { expect, fail } from "./expect.js";

/** A handler under test. The cases put objects and leave them there: give them a store to throw away. */
export interface HandlerSubject {
  /** A new handler on the same store each time, as each command of git starts a new helper. */
  open(): Promise<OdbHandler> | OdbHandler;
  /** The algorithm of the ids that it takes. Default sha1. */
  readonly hash?: HashAlgorithm;
  /** Changes the stored bytes of an object, behind the handler's back. Enables the cases that need `corrupt`. */
  corrupt?(oid: ObjectId): Promise<void>;
}

/** A blob with its bytes at hand. */
export interface Blob {
  readonly info: ObjectInfo;
  readonly bytes: Buffer;
}

/** More than the largest blob of the cases, in either form. */
const LIMIT = 64 * 1024 * 1024;

/** What a handler can do, in the words of `ContractCase.needs`. */
export function handlerAbilities(handler: OdbHandler, subject: HandlerSubject): Set<string> {
  const can = new Set<string>();
  if (handler.getGitObject !== undefined || handler.getRawObject !== undefined) can.add("get");
  if (handler.getDirect !== undefined) can.add("get_direct");
  if (handler.putRawObject !== undefined) can.add("put");
  if (handler.have !== undefined) can.add("have");
  if (subject.corrupt !== undefined) can.add("corrupt");
  return can;
}

/** Runs a session from `init` to `close`. */
export async function session<T>(
  subject: HandlerSubject,
  run: (handler: OdbHandler) => Promise<T>,
): Promise<T> {
  const handler = await subject.open();
  try {
    await handler.init?.();
    return await run(handler);
  } finally {
    await handler.close?.();
  }
}

/** A blob of random bytes, which nobody has put yet. @param size in bytes */
export function randomBlob({ hash = "sha1" }: HandlerSubject, size: number): Blob {
  const bytes = randomBytes(size);
  return { bytes, info: { oid: hashObject("blob", bytes, hash), size, type: "blob" } };
}

/** Bytes as git's packets bring them: in views that are the receiver's until it asks for the next. */
export async function* packets(bytes: Uint8Array, size = 65516): Content {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Puts content that may not be what `info` says. */
export async function put(handler: OdbHandler, info: ObjectInfo, content: Content): Promise<void> {
  await handler.putRawObject?.(info, content);
}

/** Puts a blob as it is. */
export function putBlob(handler: OdbHandler, { info, bytes }: Blob): Promise<void> {
  return put(handler, info, packets(bytes));
}

/** @throws AssertionError, unless the put is refused */
export async function mustRefuse(
  handler: OdbHandler,
  info: ObjectInfo,
  content: Content,
  what: string,
): Promise<void> {
  const outcome = await put(handler, info, content).then(
    () => "taken",
    () => "refused",
  );
  expect(outcome === "refused", `${what} was taken for object ${info.oid}`);
}

/** @throws AssertionError, unless every get there is gives exactly this object */
export async function mustHold(handler: OdbHandler, { info, bytes }: Blob): Promise<void> {
  if (handler.getRawObject !== undefined) {
    const found = await handler.getRawObject(info.oid);
    if (found === undefined) fail(`getRawObject ${info.oid}: it was put, and is not there`);
    const { size, type } = found.info;
    expect(
      size === info.size && type === "blob",
      `getRawObject ${info.oid}: ${type} of ${size} bytes instead of blob of ${info.size}`,
    );
    const content = await collect(found.content, LIMIT);
    expect(content.equals(bytes), `getRawObject ${info.oid}: other bytes than were put`);
  }
  if (handler.getGitObject !== undefined) {
    const loose = await handler.getGitObject(info.oid);
    if (loose === undefined) fail(`getGitObject ${info.oid}: it was put, and is not there`);
    const headed = inflated(await collect(loose, LIMIT), info.oid);
    const whole = Buffer.concat([Buffer.from(`blob ${info.size}\0`), bytes]);
    expect(headed.equals(whole), `getGitObject ${info.oid}: not the loose form of what was put`);
  }
}

/** @throws AssertionError, unless every get there is says plainly that there is no such object */
export async function mustLack(handler: OdbHandler, oid: ObjectId, why: string): Promise<void> {
  const raw = await handler.getRawObject?.(oid);
  expect(raw === undefined, `getRawObject gave object ${oid}, though ${why}`);
  const loose = await handler.getGitObject?.(oid);
  expect(loose === undefined, `getGitObject gave object ${oid}, though ${why}`);
}

/** All that `have` names. */
export async function named(handler: OdbHandler): Promise<Map<ObjectId, ObjectInfo>> {
  const infos = new Map<ObjectId, ObjectInfo>();
  for await (const some of handler.have?.() ?? []) {
    for (const info of "oid" in some ? [some] : some) infos.set(info.oid, info);
  }
  return infos;
}

function inflated(loose: Buffer, oid: ObjectId): Buffer {
  try {
    return inflateSync(loose, { maxOutputLength: LIMIT });
  } catch (error) {
    return fail(`getGitObject ${oid}: no zlib stream (${(error as Error).message})`);
  }
}
