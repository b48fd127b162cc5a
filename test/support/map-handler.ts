/** A handler over a Map, whose every operation a test can replace. */

import type { OdbHandler } from "../../protocol/handler.js";
import { collect, contentOf, verified } from "../../src/object/content.js";
import type { ObjectId } from "../../src/object/id.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { deflateLoose } from "../../src/object/loose.js";

/** An object in memory. */
export interface HeldObject {
  readonly info: ObjectInfo;
  readonly bytes: Uint8Array;
}

/** The objects, the handler, and the order in which it was called. */
export function mapHandler(overrides: Partial<OdbHandler> = {}) {
  const objects = new Map<ObjectId, HeldObject>();
  const calls: string[] = [];
  const handler: OdbHandler = {
    async init() {
      calls.push("init");
    },
    async close() {
      calls.push("close");
    },
    async getRawObject(oid) {
      const held = objects.get(oid);
      return held && { info: held.info, content: verified(contentOf(held.bytes), held.info) };
    },
    async getGitObject(oid) {
      const held = objects.get(oid);
      return held && contentOf(deflateLoose(held.info.type, held.bytes));
    },
    async getDirect(oid) {
      return objects.has(oid);
    },
    async putRawObject(info, content) {
      objects.set(info.oid, { info, bytes: await collect(verified(content, info), info.size) });
    },
    async *have() {
      for (const { info } of objects.values()) yield info;
    },
    ...overrides,
  };
  return { objects, calls, handler };
}
