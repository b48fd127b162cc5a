import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { Failure } from "../../protocol/commands.js";
import type { OdbHandler } from "../../protocol/handler.js";
import { offerHandshake } from "../../protocol/handshake.js";
import { MAX_PAYLOAD, PktReader, PktWriter } from "../../protocol/pkt-line.js";
import { serveProcess } from "../../protocol/server.js";
import { type ErrorCode, OdbError } from "../../src/errors.js";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { decodeLoose } from "../../src/object/loose.js";
import { mapHandler } from "../support/map-handler.js";

const all = ["get_git_obj", "get_raw_obj", "get_direct", "put_git_obj", "put_raw_obj", "put_direct", "have"];
const bytes = Buffer.alloc(150_000, "some content ");
const info: ObjectInfo = { oid: hashObject("blob", bytes), size: bytes.length, type: "blob" };

/** A session with `handler`, past the handshake. */
async function session(
  handler: OdbHandler,
  options: { get?: "git" | "raw" | "direct"; experimental?: boolean } = {},
) {
  const input = new PassThrough();
  const output = new PassThrough();
  const failures: Failure[] = [];
  const served = serveProcess(handler, { input, output, onFailure: (f) => failures.push(f), ...options });
  served.catch(() => {});
  const reader = new PktReader(output);
  const writer = new PktWriter(input);
  const { capabilities } = await offerHandshake(reader, writer, { capabilities: all });
  const say = async (...lines: (string | Buffer | null)[]) => {
    for (const line of lines) {
      if (line === null) writer.flushPkt();
      else if (Buffer.isBuffer(line)) await writer.content(contentOf(line));
      else writer.line(line);
    }
    await writer.send();
  };
  return {
    input,
    output,
    reader,
    writer,
    served,
    failures,
    capabilities,
    say,
    lines: () => reader.readLines(99),
  };
}

function failing(code: ErrorCode) {
  return async (): Promise<never> => {
    throw new OdbError(code, `it is ${code}`);
  };
}

const put = [
  "command=put_raw_obj",
  `sha1=${info.oid}`,
  `size=${info.size}`,
  "kind=blob",
  null,
  bytes,
  null,
] as const;
const get = (word: string) => [`command=${word}`, `sha1=${info.oid}`, null] as const;

describe("what is offered", () => {
  it.each([
    [{}, ["get_git_obj", "put_raw_obj", "have"]],
    [{ get: "raw" }, ["get_raw_obj", "put_raw_obj", "have"]],
    [{ get: "direct" }, ["get_direct", "put_raw_obj", "have"]],
  ] as const)("is one get: %j", async (options, expected) => {
    expect((await session(mapHandler().handler, options)).capabilities).toEqual(expected);
  });

  it("is have even for a handler that can do nothing, and then names nothing", async () => {
    const { capabilities, say, lines } = await session({});
    expect(capabilities).toEqual(["have"]);
    await say("command=have", null);
    expect([await lines(), await lines()]).toEqual([[], ["status=success"]]);
  });

  it("leaves experimental puts out unless asked", async () => {
    const handler = { ...mapHandler().handler, putGitObject: async () => {}, putDirect: async () => {} };
    expect((await session(handler)).capabilities).not.toContain("put_direct");
    const { capabilities } = await session(handler, { experimental: true });
    expect(capabilities).toEqual(["get_git_obj", "put_git_obj", "put_raw_obj", "put_direct", "have"]);
  });

  it("refuses a get that the handler cannot do", async () => {
    const options = { input: new PassThrough(), output: new PassThrough(), get: "direct" as const };
    await expect(serveProcess({ getRawObject: async () => undefined }, options)).rejects.toMatchObject({
      code: "unsupported",
    });
  });
});

describe("failures of the handler", () => {
  const codes: ErrorCode[] = [
    "invalid",
    "unavailable",
    "integrity",
    "full",
    "denied",
    "config",
    "unsupported",
    "bug",
  ];

  it.each(codes)("%s: only a put is ever answered abort, and the session goes on", async (code) => {
    const fail = failing(code);
    const { handler } = mapHandler({
      init: fail,
      getGitObject: fail,
      putRawObject: fail,
      // biome-ignore lint/correctness/useYield: it fails before it yields
      async *have() {
        await fail();
      },
    });
    const { say, lines, failures } = await session(handler);
    const word = ["denied", "config", "unsupported"].includes(code) ? "abort" : "error";
    await say("command=init", null);
    expect(await lines()).toEqual(["status=error"]);
    await say("command=have", null);
    expect([await lines(), await lines()]).toEqual([[], ["status=error"]]);
    await say(...get("get_git_obj"));
    expect([await lines(), await lines()]).toEqual([[], ["status=error"]]);
    await say(...put);
    expect(await lines()).toEqual([`status=${word}`]);
    await say("command=have", null);
    expect([await lines(), await lines()]).toEqual([[], ["status=error"]]);
    expect(failures.map(({ command, error }) => [command, error.code])).toEqual(
      ["init", "have", "get_git_obj", "put_raw_obj", "have"].map((command) => [command, code]),
    );
  });

  it.each(["raw", "direct"] as const)(
    "get_%s: the shape of an error before there is content",
    async (kind) => {
      const fail = failing("unavailable");
      const { handler } = mapHandler({ getRawObject: fail, getDirect: fail });
      const { say, lines } = await session(handler, { get: kind });
      await say(...get(kind === "raw" ? "get_raw_obj" : "get_direct"));
      expect(await lines()).toEqual([...(kind === "raw" ? ["size=0", "kind=none"] : []), "status=error"]);
    },
  );

  it.each(["git", "raw"] as const)(
    "get_%s: after the first content byte a flush-pkt, then the error",
    async (kind) => {
      async function* broken() {
        yield bytes.subarray(0, 100_000);
        throw new OdbError("integrity", "the rest is gone");
      }
      const { handler } = mapHandler({
        getGitObject: async () => broken(),
        getRawObject: async () => ({ info, content: broken() }),
      });
      const { say, lines, reader } = await session(handler, { get: kind });
      await say(...get(`get_${kind}_obj`));
      if (kind === "raw")
        expect([await reader.readLine(), await reader.readLine()]).toEqual(["size=150000", "kind=blob"]);
      expect((await collect(reader.readContent(), 1e6)).length).toBe(MAX_PAYLOAD);
      expect(await lines()).toEqual(["status=error"]);
    },
  );

  it("never says success over content of another size", async () => {
    const { handler } = mapHandler({
      getRawObject: async () => ({ info, content: contentOf(bytes.subarray(1)) }),
      putRawObject: async () => {},
    });
    const { say, lines, reader } = await session(handler, { get: "raw" });
    await say(...get("get_raw_obj"));
    await reader.readLine();
    await reader.readLine();
    await collect(reader.readContent(), 1e6);
    expect(await lines()).toEqual(["status=error"]);
    await say(...put.slice(0, 5), bytes.subarray(0, 1000), null);
    expect(await lines()).toEqual(["status=error"]);
    await say(...put);
    expect(await lines()).toEqual(["status=success"]);
  });
});

describe("puts", () => {
  it.each(["at once", "after the first packet", "with a read left behind"])(
    "refused %s are read to the end",
    async (when) => {
      const { handler } = mapHandler({
        async putRawObject(_info, content) {
          const iterator = content[Symbol.asyncIterator]();
          if (when === "after the first packet") for await (const _ of content) break;
          if (when === "with a read left behind") void iterator.next();
          throw new OdbError("full", "no space");
        },
      });
      const { say, lines } = await session(handler);
      await say(...put);
      expect(await lines()).toEqual(["status=error"]);
      await say("command=init", null);
      expect(await lines()).toEqual(["status=success"]);
    },
  );

  it("hands the content of both experimental puts and of put_raw_obj on", async () => {
    const seen: unknown[] = [];
    const { handler } = mapHandler({
      async putGitObject({ oid, size, type }, loose) {
        seen.push([oid, size, type, (await collect(loose, 1e6)).toString()]);
      },
      async putDirect({ oid, size, type }) {
        seen.push([oid, size, type]);
      },
    });
    const { say, lines } = await session(handler, { experimental: true });
    await say("command=put_git_obj", ...put.slice(1, 5), Buffer.from("loose"), null);
    expect(await lines()).toEqual(["status=success"]);
    await say("command=put_direct", ...put.slice(1, 5));
    expect(await lines()).toEqual(["status=success"]);
    expect(seen).toEqual([
      [info.oid, info.size, "blob", "loose"],
      [info.oid, info.size, "blob"],
    ]);
  });
});

describe("the session", () => {
  it("makes loose form of a handler's raw objects", async () => {
    const { handler, objects } = mapHandler();
    objects.set(info.oid, { info, bytes });
    const { say, lines, reader } = await session({
      getRawObject: handler.getRawObject?.bind(handler),
    } as OdbHandler);
    await say(...get("get_git_obj"));
    const { header, content } = await decodeLoose(reader.readContent(), "it");
    expect(header).toEqual({ type: "blob", size: bytes.length });
    expect((await collect(content, 1e6)).equals(bytes)).toBe(true);
    expect(await lines()).toEqual(["status=success"]);
  });

  it("sends have in packets of whole lines", async () => {
    const { handler } = mapHandler({
      async *have() {
        for (let size = 0; size < 5000; size++) yield { ...info, size };
      },
    });
    const { say, lines, reader } = await session(handler);
    await say("command=have", null);
    let count = 0;
    for await (const packet of reader.readContent()) {
      const held = packet.toString().split("\n");
      expect(held.every((line) => /^[0-9a-f]{40} \d+ blob$/.test(line))).toBe(true);
      count += held.length;
    }
    expect(count).toBe(5000);
    expect(await lines()).toEqual(["status=success"]);
  });

  it("closes the handler at EOF, once", async () => {
    const { handler, calls } = mapHandler();
    const { say, writer, served } = await session(handler);
    await say("command=init", null);
    await writer.end();
    await served;
    expect(calls).toEqual(["init", "close"]);
  });

  it("ends on broken framing and on EOF inside a put, and closes the handler", async () => {
    for (const end of [
      Buffer.from("junk"),
      Buffer.from("0017command=put_raw_obj0000"),
      Buffer.from("0017comm"),
    ]) {
      const { handler, calls } = mapHandler();
      const { input, served } = await session(handler);
      input.end(end);
      await expect(served).rejects.toMatchObject({ code: "protocol" });
      expect(calls).toEqual(["close"]);
    }
  });

  it("ends when git is gone", async () => {
    const { handler, calls } = mapHandler({
      async *have() {
        for (;;) yield info;
      },
    });
    const { say, output, served } = await session(handler);
    await say("command=have", null);
    output.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    await expect(served).rejects.toMatchObject({ code: "aborted" });
    expect(calls).toEqual(["close"]);
  });
});
