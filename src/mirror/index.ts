/** Mirrors of git repositories in buckets (docs/mirror.md). */

export { mirror } from "./mirror.js";
export type {
  MirrorDone,
  MirrorEvent,
  MirrorFailed,
  MirrorOptions,
  MirrorPair,
  MirrorReport,
} from "./options.js";
export type { MirrorLayout } from "./record.js";
