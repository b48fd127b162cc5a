/** The list of handler cases is tested itself: a good handler passes all, and each bad one fails just its own case. */

import { expect, it } from "vitest";
import type { OdbHandler } from "../../protocol/handler.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { runHandlerConformance } from "../../src/conformance/handler.js";
import { handlerCases } from "../../src/conformance/handler-cases.js";
import type { HandlerSubject } from "../../src/conformance/handler-subject.js";
import { collect, contentOf, sourceOf, verified } from "../../src/object/content.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { deflateLoose } from "../../src/object/loose.js";
import { asLoose, asRaw } from "../../src/store/encoding.js";
import { rawKey, rawStore } from "../../src/store/raw-layout.js";
import { putContent } from "../../src/store/stage.js";

const MiB = 1 << 20;

/** A store in memory, and handlers on it whose operations can be replaced. */
function subject(change: (good: Required<Handler>, held: Held) => Partial<OdbHandler> = () => ({})) {
  const bucket = memoryBucket();
  const store = rawStore(bucket);
  const good: Required<Handler> = {
    async getRawObject(oid) {
      const stored = await store.get(oid);
      return stored && { info: stored.info, content: asRaw(stored) };
    },
    async getGitObject(oid) {
      const stored = await store.get(oid);
      return stored && asLoose(stored);
    },
    putRawObject: (info, content) => putContent(store, info, content),
    have: () => store.list(),
  };
  const held: Held = {
    async write({ oid }, bytes) {
      await bucket.write(rawKey(oid), sourceOf(bytes));
    },
  };
  const tested: HandlerSubject = {
    open: () => ({ ...good, ...change(good, held) }),
    async corrupt(oid) {
      await bucket.write(rawKey(oid), sourceOf(Buffer.alloc(1000, "x")));
    },
  };
  return tested;
}

type Handler = Pick<OdbHandler, "getRawObject" | "getGitObject" | "putRawObject" | "have">;

interface Held {
  /** Into the store, unseen. */
  write(info: ObjectInfo, bytes: Uint8Array): Promise<void>;
}

async function failures(tested: HandlerSubject, only?: string[]): Promise<string[]> {
  const report = await runHandlerConformance(tested, only && { only });
  return report.cases.filter(({ outcome }) => outcome === "fail").map(({ name }) => name);
}

it("passes a good handler in every case", async () => {
  const report = await runHandlerConformance(subject(), { subject: "good" });
  expect(report).toMatchObject({ subject: "good", passed: handlerCases.length, failed: 0, skipped: 0 });
});

it("passes one that only gets, and skips what it does not do", async () => {
  const { getGitObject, have } = await subject().open();
  const report = await runHandlerConformance({ open: () => ({ getGitObject, have }) as OdbHandler });
  expect(report.failed).toBe(0);
  expect(report.cases.filter(({ outcome }) => outcome === "pass").map(({ name }) => name)).toEqual([
    "have-offered",
    "get-offered",
    "get-absent",
    "have-is-true",
  ]);
});

it.each<[string, string[], (good: Required<Handler>, held: Held) => Partial<OdbHandler>]>([
  ["has no have", ["have-offered"], () => ({ have: undefined }) as unknown as OdbHandler],
  [
    "throws for what is absent",
    ["get-absent", "put-corrupt", "put-breaks-off"],
    (good) => ({
      async getGitObject(oid) {
        const loose = await good.getGitObject(oid);
        if (loose === undefined) throw new Error("no such object");
        return loose;
      },
    }),
  ],
  [
    "does not check what it gives",
    ["get-corrupt"],
    (good) => ({
      async getRawObject(oid) {
        const found = await good.getRawObject(oid).catch(() => undefined);
        const bytes = found && (await collect(found.content, 64 * MiB).catch(() => Buffer.alloc(1000, "x")));
        return found && bytes && { info: found.info, content: contentOf(bytes) };
      },
    }),
  ],
  [
    "gives the raw bytes for the loose form",
    [
      "get-left-early",
      "get-next-session",
      "put-breaks-off",
      "put-twice",
      "put-small-chunks",
      "two-at-once",
      "blob-empty",
      "blob-1-byte",
      "blob-65517-bytes",
    ],
    (good) => ({
      async getGitObject(oid) {
        return (await good.getRawObject(oid))?.content;
      },
    }),
  ],
  [
    "takes wrong bytes",
    ["put-corrupt", "have-is-true"],
    (_good, held) => ({
      async putRawObject(info, content) {
        const bytes = await collect(content, 64 * MiB);
        if (bytes.length !== info.size) throw new Error("its size");
        await held.write(info, bytes);
      },
    }),
  ],
  [
    "takes a wrong size",
    ["put-wrong-size"],
    (good) => ({
      async putRawObject(info, content) {
        const bytes = await collect(content, 64 * MiB);
        await good.putRawObject({ ...info, size: bytes.length }, contentOf(bytes));
      },
    }),
  ],
  [
    "keeps what broke off",
    ["put-breaks-off", "have-is-true"],
    (good, held) => ({
      async putRawObject(info, content) {
        let bytes = Buffer.alloc(0);
        try {
          for await (const chunk of content) bytes = Buffer.concat([bytes, chunk]);
        } catch (error) {
          await held.write(info, bytes);
          throw error;
        }
        await good.putRawObject(info, contentOf(bytes));
      },
    }),
  ],
  [
    "refuses what it has",
    ["put-twice"],
    (good) => ({
      async putRawObject(info, content) {
        const found = await good.getRawObject(info.oid);
        if (found !== undefined) throw new Error("it is here already");
        await good.putRawObject(info, content);
      },
    }),
  ],
  [
    "takes an empty chunk for the end",
    ["put-small-chunks"],
    (good) => ({
      async putRawObject(info, content) {
        await good.putRawObject(info, untilEmpty(content));
      },
    }),
  ],
  [
    "has no room for large blobs",
    ["blob-20MiB"],
    (good) => ({
      async putRawObject(info, content) {
        await good.putRawObject(info, verified(contentOf(await collect(content, MiB * 8)), info));
      },
    }),
  ],
  [
    "takes an empty blob for nothing",
    ["blob-empty"],
    (good) => ({
      async getRawObject(oid) {
        const found = await good.getRawObject(oid);
        return found?.info.size === 0 ? undefined : found;
      },
    }),
  ],
  ["forgets in have", ["have-after-put"], () => ({ async *have() {} })],
  [
    "names what it has not",
    ["have-is-true"],
    (good) => ({
      async *have() {
        yield* good.have();
        yield { oid: "0".repeat(40), size: 1, type: "blob" } as ObjectInfo;
      },
    }),
  ],
])("fails one that %s", async (_, names, change) => {
  const quick = handlerCases.map(({ name }) => name).filter((name) => name !== "blob-20MiB");
  expect(await failures(subject(change), names.includes("blob-20MiB") ? names : quick)).toEqual(names);
});

it("fails one whose answers, left early, are never given back", async () => {
  let open = 0;
  async function* counted(bytes: Uint8Array) {
    if (++open > 8) throw new Error("too many files");
    for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
    open -= 1;
  }
  const tested = subject((good) => ({
    async getRawObject(oid) {
      const found = await good.getRawObject(oid);
      return found && { info: found.info, content: counted(await collect(found.content, 64 * MiB)) };
    },
  }));
  expect(await failures(tested, ["get-left-early"])).toEqual(["get-left-early"]);
});

it("fails one that lets only one session in, and one that keeps its objects to itself", async () => {
  let sessions = 0;
  const alone = subject(() => ({
    async init() {
      if (++sessions > 1) throw new Error("locked");
    },
    async close() {
      if (sessions > 0) sessions -= 1;
    },
  }));
  expect(await failures(alone)).toEqual(["two-at-once"]);
  const held = new Map<string, { info: ObjectInfo; bytes: Buffer }>();
  let own = new Set<string>();
  const forgetful = subject(() => {
    own = new Set();
    return {
      getRawObject: undefined as never,
      async getGitObject(oid) {
        const found = own.has(oid) ? held.get(oid) : undefined;
        return found && contentOf(deflateLoose("blob", found.bytes));
      },
      async putRawObject(info, content) {
        held.set(info.oid, { info, bytes: await collect(verified(content, info), 64 * MiB) });
        own.add(info.oid);
      },
      async *have() {
        for (const oid of own) yield held.get(oid)?.info as ObjectInfo;
      },
    };
  });
  expect(await failures(forgetful, ["get-next-session"])).toEqual(["get-next-session"]);
});

async function* untilEmpty(content: AsyncIterable<Uint8Array>) {
  for await (const chunk of content) {
    if (chunk.length === 0) return;
    yield chunk;
  }
}
