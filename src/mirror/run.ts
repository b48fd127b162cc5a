/** One run of a mirror, with what its steps need at hand. */

import type { Bucket, CallOptions } from "../bucket/bucket.js";
import type { MirrorEvent, MirrorOptions } from "./options.js";
import type { MirrorLayout, MirrorRecord } from "./record.js";
import type { RefTable } from "./refs.js";
import type { Source } from "./source.js";
import type { Target } from "./target.js";

/** What was found out before anything is written. */
export interface Run {
  readonly source: Source;
  readonly bucket: Bucket;
  readonly options: MirrorOptions;
  readonly call: CallOptions;
  readonly layout: MirrorLayout;
  readonly target: Target;
  readonly table: RefTable;
  /** Nothing that the target has counts: all of the source is copied. */
  readonly isFull: boolean;
  readonly tell: (event: MirrorEvent) => void;
}

/**
 * A run whose target is being claimed while the first objects come already. The claim is awaited before anything else
 * is written, and its failure ends what comes.
 */
export interface ClaimingRun extends Run {
  readonly claim: Promise<MirrorRecord>;
}

/** Waits for all, also when one fails: what they use must not be taken away under them. @throws the first failure in order */
export async function settled<T extends readonly unknown[]>(
  running: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  await Promise.allSettled(running);
  return (await Promise.all(running)) as unknown as T;
}
