/** What a helper can do, with no wire in it: the same handler is served over pkt-lines and over scripts. */

import type { Content } from "../src/object/content.js";
import type { ObjectId } from "../src/object/id.js";
import type { ObjectInfo } from "../src/object/info.js";

/** Capabilities by git's words, in the order in which git offers them. `get` is the read-object hook's. */
export const capabilities = [
  "get_git_obj",
  "get_raw_obj",
  "get_direct",
  "put_git_obj",
  "put_raw_obj",
  "put_direct",
  "have",
  "get",
] as const;

/** One of {@link capabilities}. */
export type Capability = (typeof capabilities)[number];

/** An object's raw content with what git needs to know of it first. */
export interface RawObject {
  readonly info: ObjectInfo;
  /** Verified while it is consumed: throws `integrity` at its end when it was not the object. */
  readonly content: Content;
}

/**
 * The operations of a helper. Leave out what you cannot do: a capability is offered when its method is there.
 *
 * Absent is `undefined` or `false`, a failure is a thrown OdbError. Content that is handed out must throw
 * before its end if it is not the object asked for: the server then answers `status=error`.
 */
export interface OdbHandler {
  /** Called once, first. What it throws is answered `status=error`: git goes on without this helper. */
  init?(): Promise<void>;
  getRawObject?(oid: ObjectId): Promise<RawObject | undefined>;
  /** The loose-object bytes: zlib of `<type> <size>\0<content>`, verified while consumed. */
  getGitObject?(oid: ObjectId): Promise<Content | undefined>;
  /** Puts the object into the repository's own object store. @returns false when it is not there */
  getDirect?(oid: ObjectId): Promise<boolean>;
  /**
   * Takes an object. Resolves only when it is durable and verified in the store. The content need not be
   * consumed: the server reads the rest.
   */
  putRawObject?(info: ObjectInfo, content: Content): Promise<void>;
  /** Experimental: as putRawObject, the content in loose form. */
  putGitObject?(info: ObjectInfo, loose: Content): Promise<void>;
  /** Experimental: takes an object that lies in the repository. */
  putDirect?(info: ObjectInfo): Promise<void>;
  /** Objects that the store certainly holds, and only these; one by one or, which costs a tenth, many at once. */
  have?(): AsyncIterable<ObjectInfo | readonly ObjectInfo[]>;
  /** Called at the end of the session, on EOF: what is held back is written now. */
  close?(): Promise<void>;
}

/** A client is a handler at a distance: the same operations, over a wire. */
export interface OdbClient extends AsyncDisposable {
  readonly negotiation: Negotiation;
  getRawObject(oid: ObjectId): Promise<RawObject | undefined>;
  getGitObject(oid: ObjectId): Promise<Content | undefined>;
  getDirect(oid: ObjectId): Promise<boolean>;
  putRawObject(info: ObjectInfo, content: Content): Promise<void>;
  putGitObject(info: ObjectInfo, loose: Content): Promise<void>;
  putDirect(info: ObjectInfo): Promise<void>;
  have(): AsyncIterable<ObjectInfo>;
  /** Ends the session (EOF) and waits for the helper to exit. */
  close(): Promise<void>;
}

/** What the two sides agreed on. */
export interface Negotiation {
  readonly version: number;
  readonly capabilities: readonly Capability[];
}
