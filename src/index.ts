/**
 * git-odb as a library: what a program needs to open a repository's ODBs, or a store without a repository.
 *
 * The layers below are `git-odb/bucket`, `git-odb/store` and `git-odb/protocol`; `git-odb/testing` has the contracts
 * that a bucket, store or helper of one's own can be tested by.
 */

export { type Bucket, type BucketOptions, openBucket } from "./bucket/index.js";
export { type ErrorCode, exitCodeOf, isTransient, OdbError, type OdbErrorOptions } from "./errors.js";
export {
  type MirrorDone,
  type MirrorEvent,
  type MirrorFailed,
  type MirrorLayout,
  type MirrorOptions,
  type MirrorPair,
  type MirrorReport,
  mirror,
} from "./mirror/index.js";
export {
  type ByteRange,
  type Content,
  collect,
  contentOf,
  hashObject,
  type Source,
  type SourceObject,
  sourceOf,
  verified,
} from "./object/content.js";
export { algorithmOf, type HashAlgorithm, isObjectId, type ObjectId, parseObjectId } from "./object/id.js";
export { formatInfo, type ObjectInfo, type ObjectType, parseInfo } from "./object/info.js";
export { trackedPatterns, trackPattern, untrackPattern } from "./odb/attributes-file.js";
export { type GetMode, type OdbConfig, readOdbConfig } from "./odb/config.js";
export { isOdbName, parseOdbName } from "./odb/name.js";
export { type Selector, selector, selectPaths } from "./odb/select.js";
export { type Odb, type OpenOdbOptions, openOdb, type PutOutcome, type SendReport } from "./odb/session.js";
export { openRepository, type Repository } from "./repo/git.js";
export { type RunningServer, type ServeOptions, serveBucket } from "./serve/server.js";
export {
  asLoose,
  asRaw,
  initBucket,
  type ObjectStore,
  openStore,
  putContent,
  type StoredObject,
} from "./store/index.js";
export { version } from "./version.js";
