/** What a remote can do for git, without the line protocol that asks for it (gitremote-helpers(7)). */

import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { Places } from "../repo/places.js";

/** What git has set by `option` lines before it asks. */
export interface RemoteOptions {
  /** Whether progress is to be shown on stderr. Default false. */
  progress: boolean;
  /** 0 is quiet, 1 the default, more with each `-v`. */
  verbosity: number;
  /** git clones: remote.<name>.* may be written, and nothing is here yet. */
  cloning: boolean;
  /** The objects are to be left out that this names (`blob:none`, `blob:limit=…`). */
  filter?: string;
  /** git asks for objects that were promised to it. */
  fromPromisor: boolean;
  /** git would like `connectivity-ok` where it is sure. */
  checkConnectivity: boolean;
  followTags: boolean;
  dryRun: boolean;
  atomic: boolean;
  force: boolean;
  /** `--force-with-lease`: what each ref must be now; undefined, it must not exist. */
  leases: Map<string, ObjectId | undefined>;
}

/** One ref of a list. */
export interface RemoteRef {
  readonly name: string;
  readonly oid: ObjectId;
}

/** The answer to `list`. */
export interface RemoteRefs {
  readonly hash: HashAlgorithm;
  readonly refs: readonly RemoteRef[];
  /** Where HEAD points; only when that ref is among `refs`. */
  readonly head?: string;
}

/** One `fetch` line: an object, by the ref it was listed under; a promised object stands for its own name. */
export interface Want {
  readonly oid: ObjectId;
  readonly ref: string;
}

/** What became of a batch of wants. */
export interface FetchOutcome {
  /** False: not all is there now, and git may ask another promisor for the rest; nothing more is said. */
  readonly complete: boolean;
  /** `.keep` files that git is to remove. */
  readonly locks?: readonly string[];
  readonly connectivityOk?: boolean;
}

/** One `push` line. */
export interface PushCommand {
  /** Any name of an object in the local repository; undefined deletes. */
  readonly source: string | undefined;
  readonly ref: string;
  readonly force: boolean;
}

/** What became of one ref of a push. */
export interface PushResult {
  readonly ref: string;
  /** Why not, in git's words (`fetch first`, `non-fast forward`, …) where it has them; undefined: pushed. */
  readonly error?: string;
}

/** The remote behind one URL. */
export interface Remote {
  list(options: RemoteOptions, forPush: boolean): Promise<RemoteRefs>;
  fetch(wants: readonly Want[], options: RemoteOptions): Promise<FetchOutcome>;
  push(commands: readonly PushCommand[], options: RemoteOptions): Promise<readonly PushResult[]>;
  close(): Promise<void>;
}

/** The process round a remote. */
export interface RemoteContext {
  /** The remote's name, or its URL where it has none. */
  readonly name: string;
  /** The URL of the bucket. */
  readonly url: string;
  /** Undefined outside of a repository (`git ls-remote`). */
  readonly places: Places | undefined;
  readonly signal: AbortSignal;
  /** One line on stderr. */
  warn(line: string): void;
  /** For progress; the line protocol has stdout. */
  readonly stderr: { write(text: string): unknown; readonly columns?: number };
}
