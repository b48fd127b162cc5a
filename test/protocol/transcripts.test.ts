import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GetKind } from "../../protocol/offer.js";
import { type Packet, PktReader, PktWriter } from "../../protocol/pkt-line.js";
import { serveProcess } from "../../protocol/server.js";
import { formatPacket, parsePacket, parseTranscript } from "../../protocol/transcript.js";
import { contentOf, hashObject } from "../../src/object/content.js";
import { mapHandler } from "../support/map-handler.js";

const folder = join(import.meta.dirname, "../transcripts");

/** zlib's own choice of bytes may change with its version: the transcripts' object is kept in this form. */
const looseHello = Buffer.from("78014bcac94f523063c848cdc9c9e702001dc50414", "hex");

/** A handler that holds what a transcript's `# store:` line says: by default "hello\n" and the empty blob. */
function fixture(text: string) {
  const held = /^# store: (.*)$/m.exec(text)?.[1] ?? "hello empty";
  const hello = Buffer.from("hello\n");
  const { handler, objects } = mapHandler({
    getGitObject: async (oid) => (oid === hashObject("blob", hello) ? contentOf(looseHello) : undefined),
  });
  for (const [name, bytes] of Object.entries({ hello, empty: Buffer.alloc(0) })) {
    const info = { oid: hashObject("blob", bytes), size: bytes.length, type: "blob" as const };
    if (held.includes(name)) objects.set(info.oid, { info, bytes });
  }
  return handler;
}

/** Sends the `git>` packets and gives the whole conversation, in the order of the transcript. */
async function replay(text: string): Promise<string> {
  const spoken = parseTranscript(text);
  const input = new PassThrough();
  const output = new PassThrough();
  const offered = ["get_raw_obj", "get_direct"].find((word) => text.includes(`git< capability=${word}`));
  const get = offered?.split("_")[1] as GetKind | undefined;
  const serving = serveProcess(fixture(text), { input, output, get, onFailure: () => {} });
  const writer = new PktWriter(input);
  const reader = new PktReader(output);
  const lines: string[] = [];
  for (const { direction, packet } of spoken) {
    let heard: Packet | undefined = packet;
    if (direction === "git>") packet === null ? writer.flushPkt() : writer.packet(packet);
    else {
      await writer.send();
      heard = await reader.read();
    }
    if (heard !== undefined) lines.push(formatPacket(direction, heard));
  }
  await writer.end();
  await serving;
  output.end();
  expect(await reader.read()).toBeUndefined();
  return lines.join("\n");
}

describe("golden transcripts", () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith(".txt")))("%s", async (name) => {
    const text = readFileSync(join(folder, name), "utf8");
    const expected = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .join("\n");
    expect(await replay(text)).toBe(expected);
  });
});

describe("docs/protocol.md", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/protocol.md"), "utf8");
  const blocks = [...page.matchAll(/^```transcript\n(.*?)^```$/gms)].map(([, text = ""]) => text.trimEnd());

  it("has transcripts", () => expect(blocks.length).toBeGreaterThan(7));

  it.each(blocks.map((text) => [/command=(.*)/.exec(text)?.[1], text] as const))(
    "is true of %s",
    async (_name, text) => {
      const whole = text.includes("git-read-object-client") ? text : `${welcomeFor(text)}\n${text}`;
      expect(await replay(whole)).toBe(whole);
    },
  );
});

/** A handshake in which the get that a part of a session uses is offered. */
function welcomeFor(text: string): string {
  const get = ["get_raw_obj", "get_direct"].find((word) => text.includes(`command=${word}`)) ?? "get_git_obj";
  const said = (direction: string, ...lines: string[]) =>
    lines.map((line) => `packet: git${direction} ${line}`);
  return [
    ...said(">", "git-read-object-client", "version=1", "0000"),
    ...said("<", "git-read-object-server", "version=1", "0000"),
    ...said(">", `capability=${get}`, "capability=put_raw_obj", "capability=have", "0000"),
    ...said("<", `capability=${get}`, "capability=put_raw_obj", "capability=have", "0000"),
  ].join("\n");
}

describe("the notation", () => {
  it("stands for every packet, and comes back", () => {
    fc.assert(
      fc.property(fc.option(fc.uint8Array(), { nil: null }), (bytes) => {
        const packet = bytes && Buffer.from(bytes);
        const line = formatPacket("git<", packet);
        expect(line).toMatch(/^packet: git< [\x20-\x7e]*$/);
        expect(parsePacket(line)).toEqual({ direction: "git<", packet });
      }),
      {
        examples: [
          [null],
          [Buffer.from("0000\n")],
          [Buffer.from("a\\")],
          [Buffer.from("\n")],
          [Buffer.alloc(0)],
        ],
      },
    );
  });

  it("reads as a person expects", () => {
    expect(formatPacket("git>", Buffer.from("command=have\n"))).toBe("packet: git> command=have");
    expect(formatPacket("git<", Buffer.from("no LF"))).toBe("packet: git< no LF\\");
    expect(formatPacket("git<", null)).toBe("packet: git< 0000");
    for (const bad of ["command=have", "packet: git? x", "packet: git> \\q"]) {
      expect(() => parsePacket(bad)).toThrow(expect.objectContaining({ code: "invalid" }));
    }
  });
});
