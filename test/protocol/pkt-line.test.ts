import { once } from "node:events";
import { PassThrough, Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePacket, MAX_PAYLOAD, type Packet, PktReader, PktWriter } from "../../protocol/pkt-line.js";
import { OdbError } from "../../src/errors.js";
import { contentOf } from "../../src/object/content.js";

/** A sink that keeps what it is given, and counts the writes. */
function sink(options: { highWaterMark?: number; slow?: boolean } = {}) {
  const pieces: Buffer[] = [];
  let writes = 0;
  const take = (chunks: Buffer[], done: () => void) => {
    writes++;
    pieces.push(...chunks);
    if (options.slow) setImmediate(done);
    else done();
  };
  const stream = new Writable({
    highWaterMark: options.highWaterMark ?? 16384,
    write: (chunk: Buffer, _encoding, done) => take([chunk], done),
    writev: (chunks, done) =>
      take(
        chunks.map(({ chunk }) => chunk as Buffer),
        done,
      ),
  });
  return { stream, bytes: () => Buffer.concat(pieces), writes: () => writes };
}

/** `bytes` cut at the places that `cuts` names, modulo what is left. */
async function* cutAt(bytes: Buffer, cuts: readonly number[]) {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const size = (cuts.length > 0 ? (cuts[turn % cuts.length] ?? 0) : bytes.length) % (bytes.length - at + 1);
    yield bytes.subarray(at, at + size);
    at += size;
    if (size === 0) yield bytes.subarray(at, ++at);
  }
}

async function readAll(input: AsyncIterable<Uint8Array>): Promise<Packet[]> {
  const reader = new PktReader(input);
  const packets: Packet[] = [];
  for (let packet = await reader.read(); packet !== undefined; packet = await reader.read())
    packets.push(packet);
  return packets;
}

async function encode(packets: readonly (Uint8Array | null)[]): Promise<Buffer> {
  const out = sink();
  const writer = new PktWriter(out.stream);
  for (const packet of packets) packet === null ? writer.flushPkt() : writer.packet(packet);
  await writer.send();
  return out.bytes();
}

const packets = fc.array(fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null }), { maxLength: 12 });

describe("decoding", () => {
  it("tells a flush-pkt, an empty packet, text and how much is missing", () => {
    const of = (text: string) => decodePacket(Buffer.from(text));
    expect(of("0000rest")).toEqual({ whole: true, packet: null, end: 4 });
    expect(of("0004")).toEqual({ whole: true, packet: Buffer.alloc(0), end: 4 });
    expect(of("0006a\n0000")).toEqual({ whole: true, packet: Buffer.from("a\n"), end: 6 });
    expect(of("000A123456")).toEqual({ whole: true, packet: Buffer.from("123456"), end: 10 });
    expect(of("")).toEqual({ whole: false, need: 4 });
    expect(of("fff")).toEqual({ whole: false, need: 4 });
    expect(of("fff0x")).toEqual({ whole: false, need: 65520 });
    expect(decodePacket(Buffer.from("00000005a"), 4)).toEqual({
      whole: true,
      packet: Buffer.from("a"),
      end: 9,
    });
  });

  it.each(["0001", "0002", "0003", "fff1", "ffff", "hell", "-001", "0x10", " 123", "00g0", "\0\0\0\0"])(
    "refuses %j as a length",
    (digits) => {
      expect(() => decodePacket(Buffer.from(`${digits}0000`, "latin1"))).toThrow(
        expect.objectContaining({
          code: "protocol",
          message: expect.stringContaining(JSON.stringify(digits)),
        }),
      );
    },
  );
});

describe("PktReader", () => {
  it("reads lines with and without LF, and only one LF goes", async () => {
    const reader = new PktReader(contentOf(Buffer.from("0006a\n0005b0007c\n\n00040000")));
    expect(await reader.readLines(9)).toEqual(["a", "b", "c\n", ""]);
    expect(await reader.readLine()).toBeUndefined();
  });

  it("bounds the lines it gathers", async () => {
    const reader = new PktReader(contentOf(Buffer.from("0006a\n0006b\n0006c\n0000")));
    await expect(reader.readLines(2)).rejects.toThrow(/more than 2 lines/);
  });

  it.each(["0", "000", "0006", "0006a", "fff0aaaa"])("refuses the end of input inside %j", async (text) => {
    const reader = new PktReader(contentOf(Buffer.from(text)));
    await expect(reader.read()).rejects.toMatchObject({ code: "protocol" });
  });

  it("refuses the end of input before a flush-pkt", async () => {
    await expect(new PktReader(contentOf(Buffer.from("0006a\n"))).readLines(5)).rejects.toThrow(
      /stream ends/,
    );
    const content = new PktReader(contentOf(Buffer.from("0006a\n"))).readContent();
    await content.next();
    await expect(content.next()).rejects.toMatchObject({ code: "protocol" });
  });

  it("decodes alike whatever the chunking", async () => {
    await fc.assert(
      fc.asyncProperty(packets, fc.array(fc.nat({ max: 400 })), async (sent, cuts) => {
        const bytes = await encode(sent);
        const got = await readAll(cutAt(bytes, cuts));
        expect(got.map((p) => p?.toString("latin1"))).toEqual(
          sent.map((p) => (p ? Buffer.from(p).toString("latin1") : undefined)),
        );
      }),
    );
  });

  it("takes a packet of the greatest size byte by byte", async () => {
    const payload = Buffer.alloc(MAX_PAYLOAD, "x");
    const bytes = await encode([payload, null]);
    const [packet, flush] = await readAll(cutAt(bytes, [1]));
    expect(packet?.equals(payload)).toBe(true);
    expect(flush).toBeNull();
  });

  it("answers garbage with protocol errors only, and ends", async () => {
    const hexish = fc.stringMatching(/^(000[0-9a-f]|[0-9a-f]{4}|.){0,20}$/).map((text) => Buffer.from(text));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), hexish), fc.array(fc.nat(9)), async (bytes, cuts) => {
        try {
          await readAll(cutAt(Buffer.from(bytes), cuts));
        } catch (error) {
          expect(error).toBeInstanceOf(OdbError);
          expect((error as OdbError).code).toBe("protocol");
        }
      }),
    );
  });
});

describe("PktWriter", () => {
  it("writes an answer at once", async () => {
    const out = sink();
    const writer = new PktWriter(out.stream);
    writer.line("size=5");
    writer.line("kind=blob");
    await writer.content(contentOf(Buffer.from("he"), Buffer.from("llo")));
    writer.flushPkt();
    await writer.send();
    expect(out.bytes().toString()).toBe("000bsize=5\n000ekind=blob\n0009hello0000");
    expect(out.writes()).toBe(1);
  });

  it.each([0, 1, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 3 * MAX_PAYLOAD, 300_000])(
    "packs %i bytes of content into full packets, whatever the chunking",
    async (size) => {
      const content = Buffer.alloc(size, "abcdefg");
      for (const step of [size || 1, 7000, 65536, 200_000]) {
        const out = sink({ highWaterMark: 1024, slow: true });
        const writer = new PktWriter(out.stream);
        await writer.content(cutAt(content, [step]));
        await writer.send();
        const got = await readAll(contentOf(out.bytes()));
        expect(Buffer.concat(got.map((p) => p ?? Buffer.alloc(0))).equals(content)).toBe(true);
        expect(got.map((p) => p?.length)).toEqual(
          Array.from({ length: Math.ceil(size / MAX_PAYLOAD) }, (_, i) =>
            Math.min(MAX_PAYLOAD, size - i * MAX_PAYLOAD),
          ),
        );
      }
    },
  );

  it("leaves whole packets behind when the content fails", async () => {
    const out = sink();
    const writer = new PktWriter(out.stream);
    async function* failing() {
      yield Buffer.alloc(MAX_PAYLOAD + 10);
      throw new OdbError("unavailable", "gone");
    }
    await expect(writer.content(failing())).rejects.toThrow("gone");
    writer.flushPkt();
    await writer.send();
    const got = await readAll(contentOf(out.bytes()));
    expect(got.map((packet) => packet?.length)).toEqual([MAX_PAYLOAD, undefined]);
  });

  it("refuses a payload that no packet can carry", () => {
    const writer = new PktWriter(sink().stream);
    expect(() => writer.packet(Buffer.alloc(MAX_PAYLOAD + 1))).toThrow(/at most 65516/);
  });

  it("waits for a slow peer: memory stays bounded", async () => {
    const pipe = new PassThrough({ highWaterMark: 1024 });
    const writer = new PktWriter(pipe);
    let produced = 0;
    async function* endless() {
      for (; produced < 100; produced++) yield Buffer.alloc(100_000);
    }
    const sending = writer.content(endless()).then(() => writer.end());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(produced).toBeLessThan(3);
    pipe.resume();
    await once(pipe, "end");
    await sending;
  });

  it("reports a closed output as aborted, now and later, and does not hang", async () => {
    const pipe = new PassThrough({ highWaterMark: 10 });
    const writer = new PktWriter(pipe);
    writer.line("a line that is longer than ten bytes");
    const sending = writer.send();
    pipe.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    await expect(sending).rejects.toMatchObject({ code: "aborted" });
    writer.line("more");
    await expect(writer.send()).rejects.toMatchObject({ code: "aborted" });
  });
});
