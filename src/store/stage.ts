/** Staging: an object's content is verified while it is set aside, so that a store only ever sees the right bytes. */

import { createHash } from "node:crypto";
import type { CallOptions } from "../bucket/bucket.js";
import { type Content, type SourceObject, verifier } from "../object/content.js";
import type { ObjectInfo } from "../object/info.js";
import { type SpoolOptions, spool } from "../object/spool.js";
import type { ObjectStore } from "./store.js";

/** Where and how to stage. */
export interface StageOptions extends Omit<SpoolOptions, "inspect"> {
  /**
   * Compute the SHA-256 of the content in the same pass, for a store that records or checks it. It costs as much again
   * as the object's own hash, so only where {@link ObjectStore.takesSha256} says so.
   */
  readonly sha256?: boolean;
}

/** A verified object, in memory or in a private temporary file; whoever staged it disposes of it. */
export type StagedObject = SourceObject & AsyncDisposable;

/** The options with which an object is staged best for `store`: no byte is written twice. */
export function stagingFor(store: ObjectStore): StageOptions {
  const directory = store.stagingDirectory;
  return {
    ...(directory === undefined ? {} : { directory, sync: true }),
    ...(store.takesSha256 ? { sha256: true } : {}),
  };
}

/**
 * Reads all of `content` and proves that it is the object `info` names. Up to `memoryLimit` it stays in
 * memory, above that it lies in a temporary file of `directory` that a file bucket links into place.
 *
 * @throws OdbError integrity, when size or hash differ: nothing is left behind; full, denied
 */
export async function stage(
  info: ObjectInfo,
  content: Content,
  options: StageOptions = {},
): Promise<StagedObject> {
  const check = verifier(info);
  const digest = options.sha256 ? createHash("sha256") : undefined;
  const spooled = await spool(content, {
    ...options,
    inspect(chunk) {
      check.update(chunk);
      digest?.update(chunk);
    },
  });
  try {
    check.finish();
  } catch (error) {
    await spooled[Symbol.asyncDispose]();
    throw error;
  }
  return { ...spooled, info, ...(digest === undefined ? {} : { sha256: digest.digest("hex") }) };
}

/**
 * Stages content for `store` and puts it: what every caller with a stream does.
 *
 * @throws OdbError integrity, when it is not the object: the store has not seen it then
 */
export async function putContent(
  store: ObjectStore,
  info: ObjectInfo,
  content: Content,
  options: CallOptions = {},
): Promise<void> {
  await using staged = await stage(info, content, { ...stagingFor(store), ...options });
  await store.put(staged, options);
}
