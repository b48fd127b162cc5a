/** What a mirror run is told, and what it tells. */

import type { S3Client } from "@aws-sdk/client-s3";
import type { CredentialProvider } from "../bucket/options.js";
import type { OdbError } from "../errors.js";
import type { MirrorLayout } from "./record.js";

/** A repository and the bucket to copy it to. */
export interface MirrorPair {
  /** Whatever `git fetch` takes: `https://…`, `ssh://…`, `host:path`, `git://…`, `file://…` or a path. */
  readonly source: string;
  /** A bucket URL: `s3://bucket/prefix?…`, `file:///path`, a path, or a `git odb serve` that lets one write. */
  readonly target: string;
}

/** Options of one run. */
export interface MirrorOptions {
  /** Default `packs`. */
  readonly layout?: MirrorLayout;
  /** Use no temporary disk: the pack goes straight to the bucket, and is indexed there. For layout `packs`. */
  readonly stream?: boolean;
  /**
   * The LFS server; default: that of a source behind http(s), as git-lfs finds it. `false`: LFS objects are not copied.
   */
  readonly lfs?: string | false;
  /** Only refs that match one of these patterns (`refs/heads/*`, `main`, `v1.*`). Default: all. */
  readonly refs?: readonly string[];
  /** Copy all of it, over whatever is in the target. */
  readonly force?: boolean;
  /** Let a source that has no refs (any more) empty the mirror. */
  readonly allowEmpty?: boolean;
  /** How long what readers of older tables need stays, in milliseconds. Default 24 hours. */
  readonly graceMs?: number;
  /** With so many packs they are replaced by one, as `gc.autoPackLimit` does. Default 50. */
  readonly packLimit?: number;
  /** Repositories under way at once. Default 4. */
  readonly workers?: number;
  /** Folder of the temporary repositories. Default: the system's. */
  readonly directory?: string;
  /** Used for every `s3://` target, and left open; default: one a target, by the SDK's own chain. */
  readonly s3Client?: S3Client;
  /** For http(s) targets, LFS servers, and http(s) sources of old; with others git asks for them itself. */
  readonly credentials?: CredentialProvider;
  readonly signal?: AbortSignal;
  /** Told as things happen. */
  readonly onEvent?: (event: MirrorEvent) => void;
}

/** A repository that is mirrored. */
export interface MirrorDone {
  readonly source: string;
  readonly target: string;
  /** False: the mirror was up to date, and nothing was written. */
  readonly changed: boolean;
  readonly refs: number;
  /** Objects copied, and the bytes that they took. */
  readonly objects: number;
  readonly bytes: number;
  /** LFS objects copied, their bytes, and how many could not be had: the server has none of them, or there is none. */
  readonly lfs: { readonly copied: number; readonly bytes: number; readonly missing: number };
}

/** A repository that could not be. */
export interface MirrorFailed {
  readonly source: string;
  readonly target: string;
  readonly error: OdbError;
}

/** What became of all pairs, in the order in which they ended. */
export interface MirrorReport {
  readonly done: readonly MirrorDone[];
  readonly failed: readonly MirrorFailed[];
}

/** What happens meanwhile. Counts are of what was added since the last event of the pair. */
export type MirrorEvent =
  | { readonly event: "start"; readonly source: string; readonly target: string }
  | { readonly event: "receive" | "send"; readonly source: string; readonly bytes: number }
  | { readonly event: "lfs"; readonly source: string; readonly bytes: number }
  | { readonly event: "objects"; readonly source: string; readonly count: number }
  | ({ readonly event: "done" } & MirrorDone)
  | ({ readonly event: "failed" } & MirrorFailed);
