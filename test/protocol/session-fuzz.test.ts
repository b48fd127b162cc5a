/** Whatever git's side sends, a session ends, answers in the form that git reads, and stores only what hashes right. */

import { PassThrough } from "node:stream";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Packet, PktReader, PktWriter } from "../../protocol/pkt-line.js";
import { connectScript } from "../../protocol/script-client.js";
import { serveProcess } from "../../protocol/server.js";
import { OdbError } from "../../src/errors.js";
import { contentOf, hashObject } from "../../src/object/content.js";
import { mapHandler } from "../support/map-handler.js";

const right = Buffer.from("right");
const oid = hashObject("blob", right);

type Sent = readonly (string | Uint8Array | null)[];

const commands = [
  "init",
  "have",
  "get_git_obj",
  "get_raw_obj",
  "get_direct",
  "put_raw_obj",
  "put_direct",
  "get",
  "fly",
  "",
];
const argument = fc.constantFrom(
  `sha1=${oid}`,
  `sha1=${"0".repeat(40)}`,
  "sha1=../../x",
  "sha1=",
  "size=5",
  "size=4",
  "size=-1",
  "size=9007199254740993",
  "kind=blob",
  "kind=none",
  "=",
  "__proto__=1",
  "command=have",
);
const requestOf = (words: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...words), fc.array(argument, { maxLength: 4 }))
    .map(([command, args]): Sent => [`command=${command}`, ...args, null]);
const request = requestOf(commands);
/** The content of a put is part of it. */
const alone = requestOf(commands.filter((command) => command !== "put_raw_obj"));
const put = fc
  .tuple(
    fc.constantFrom("size=5", "size=4", "size=x"),
    fc.array(fc.oneof(fc.constant(right), fc.uint8Array({ maxLength: 9 })), { maxLength: 2 }),
  )
  .map(
    ([size, content]): Sent => [
      "command=put_raw_obj",
      `sha1=${oid}`,
      size,
      "kind=blob",
      null,
      ...content,
      null,
    ],
  );
const noise = fc.oneof(
  fc.constant<Sent>([null]),
  fc.uint8Array({ maxLength: 30 }).map((bytes): Sent => [bytes]),
);
const asked = fc.array(fc.oneof(alone, put), { maxLength: 8 });
const session = fc.array(fc.oneof(request, put, put, noise), { maxLength: 8 }).map((parts) => parts.flat());

async function encode(packets: Sent, tail: Uint8Array): Promise<Buffer> {
  const out = new PassThrough();
  const chunks: Buffer[] = [];
  out.on("data", (chunk: Buffer) => chunks.push(chunk));
  const writer = new PktWriter(out);
  for (const packet of packets) {
    if (packet === null) writer.flushPkt();
    else writer.packet(Buffer.from(packet as string));
  }
  await writer.send();
  return Buffer.concat([...chunks, tail]);
}

/** Serves what was sent; how it ended, and the packets of the answers. */
async function serve(bytes: Buffer, cuts: readonly number[]) {
  const { handler, objects, calls } = mapHandler();
  const output = new PassThrough();
  const chunks: Buffer[] = [];
  output.on("data", (chunk: Buffer) => chunks.push(chunk));
  const end = await serveProcess(handler, { input: cut(bytes, cuts), output, onFailure: () => {} }).then(
    () => undefined,
    (error: unknown) => error,
  );
  output.end();
  const packets: Packet[] = [];
  const reader = new PktReader(contentOf(Buffer.concat(chunks)));
  for (let packet = await reader.read(); packet !== undefined; packet = await reader.read())
    packets.push(packet);
  return { end, packets, objects, calls };
}

async function* cut(bytes: Buffer, cuts: readonly number[]) {
  let turn = 0;
  for (let at = 0; at < bytes.length; turn++) {
    const size = 1 + (cuts[turn % Math.max(1, cuts.length)] ?? bytes.length);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const hello: Sent = ["git-read-object-client", "version=1", null];
const offered: Sent = [...commands.slice(1).map((name) => `capability=${name}`), null];

it("answers or ends, in form, whatever is sent", async () => {
  await fc.assert(
    fc.asyncProperty(
      session,
      fc.uint8Array({ maxLength: 6 }),
      fc.array(fc.nat(40), { maxLength: 5 }),
      async (sent, tail, cuts) => {
        const { end, packets, objects, calls } = await serve(
          await encode([...hello, ...offered, ...sent], tail),
          cuts,
        );
        if (end !== undefined) expect(end).toMatchObject({ code: "protocol" });
        expect(end === undefined || end instanceof OdbError).toBe(true);
        expect(calls.filter((call) => call === "close")).toHaveLength(1);
        // The welcome, the capabilities, and then answers: each ends in a status that git knows.
        const texts = packets.map((packet) => packet?.toString("latin1") ?? null);
        expect(texts.slice(0, 3)).toEqual(["git-read-object-server\n", "version=1\n", null]);
        const answers = texts.slice(texts.indexOf(null, 3) + 1);
        if (answers.length > 0) {
          expect(answers.at(-1)).toBeNull();
          expect(answers.at(-2)).toMatch(/^status=(?:success|notfound|error|abort)\n$/);
        }
        for (const { info, bytes } of objects.values()) expect(hashObject(info.type, bytes)).toBe(info.oid);
        if (objects.size > 0) expect([...objects.keys()]).toEqual([oid]);
      },
    ),
    { numRuns: 400 },
  );
});

it("answers each request once, in step, whatever was wrong with it", async () => {
  await fc.assert(
    fc.asyncProperty(asked, fc.array(fc.nat(40), { maxLength: 5 }), async (parts, cuts) => {
      const bytes = await encode([...hello, ...offered, ...parts.flat()], Buffer.alloc(0));
      const { end, packets } = await serve(bytes, cuts);
      expect(end).toBeUndefined();
      const statuses = packets.filter((packet) => packet?.toString("latin1").startsWith("status="));
      expect(statuses).toHaveLength(parts.length);
    }),
    { numRuns: 300 },
  );
});

it("ends at any other beginning", async () => {
  const word = fc.constantFrom(
    "git-read-object-client",
    "git-filter-client",
    "version=1",
    "version=2",
    "capability=have",
  );
  const packet = fc.oneof(word, fc.constant(null), fc.uint8Array({ maxLength: 20 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(packet, { maxLength: 6 }),
      fc.uint8Array({ maxLength: 6 }),
      async (sent, tail) => {
        const { end, calls } = await serve(await encode(sent, tail), []);
        if (end !== undefined) expect(end).toMatchObject({ code: "protocol" });
        else expect(sent[0]).toBe("git-read-object-client");
        expect(calls.at(-1)).toBe("close");
      },
    ),
    { numRuns: 200 },
  );
});

it("does not gather a line of have that never ends", async () => {
  const script = await connectScript(
    `f() { test "$1" = have && exec tr '\\0' x </dev/zero; echo capability=have; }; f`,
    {},
  );
  const first = script.have()[Symbol.asyncIterator]().next();
  await expect(first).rejects.toMatchObject({
    code: "protocol",
    message: expect.stringMatching(/line of more than/),
  });
  await script.close();
});
