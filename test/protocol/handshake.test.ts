import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { acceptHandshake, offerHandshake } from "../../protocol/handshake.js";
import { PktReader, PktWriter } from "../../protocol/pkt-line.js";

/** Two ends joined by pipes. */
function joined() {
  const there = new PassThrough();
  const back = new PassThrough();
  return {
    client: { reader: new PktReader(back), writer: new PktWriter(there) },
    server: { reader: new PktReader(there), writer: new PktWriter(back) },
  };
}

/** A peer that says these lines (null: flush-pkt) and then closes. */
function scripted(lines: readonly (string | null)[]) {
  const said = new PassThrough();
  const writer = new PktWriter(said);
  for (const line of lines) line === null ? writer.flushPkt() : writer.line(line);
  void writer.end();
  return { reader: new PktReader(said), writer: new PktWriter(new PassThrough().resume()) };
}

describe("handshake", () => {
  it("agrees on a version and on the capabilities that both know", async () => {
    const { client, server } = joined();
    const [offered, accepted] = await Promise.all([
      offerHandshake(client.reader, client.writer, { versions: [3, 2, 1], capabilities: ["a", "b", "have"] }),
      acceptHandshake(server.reader, server.writer, { versions: [2, 1], capabilities: ["have", "x", "a"] }),
    ]);
    expect(offered).toEqual({ version: 2, capabilities: ["a", "have"], ignored: [] });
    expect(accepted).toEqual({ version: 2, capabilities: ["have", "a"], ignored: ["b"] });
  });

  it("serves another protocol by its welcome prefix", async () => {
    const { client, server } = joined();
    const options = { welcome: "git-filter", versions: [2], capabilities: ["clean"] };
    const [offered] = await Promise.all([
      offerHandshake(client.reader, client.writer, options),
      acceptHandshake(server.reader, server.writer, options),
    ]);
    expect(offered.capabilities).toEqual(["clean"]);
  });

  it.each([
    [
      "no client",
      ["git-filter-client", "version=1", null],
      /"git-filter-client" where git-read-object-client/,
    ],
    [
      "no common version",
      ["git-read-object-client", "version=2", "version=3", null],
      /offered 2,3, known here 1/,
    ],
    ["nothing", [null], /a flush-pkt where/],
    ["the end", [], /stream ends/],
  ])("refuses as a helper: %s", async (_name, lines, message) => {
    const { reader, writer } = scripted(lines);
    await expect(acceptHandshake(reader, writer, { capabilities: ["have"] })).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringMatching(message),
    });
  });

  it.each([
    ["no server", ["hello", null], /"hello" where git-read-object-server/],
    [
      "a version not offered",
      ["git-read-object-server", "version=2", null],
      /"version=2" where one of version=1/,
    ],
    ["more than a version", ["git-read-object-server", "version=1", "x=1", null], /"x=1" where a flush-pkt/],
    ["the end", ["git-read-object-server", "version=1", null], /stream ends/],
  ])("gives up where git does: %s", async (_name, lines, message) => {
    const { reader, writer } = scripted(lines);
    await expect(offerHandshake(reader, writer, { capabilities: ["have"] })).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringMatching(message),
    });
  });

  it("ignores what git ignores: foreign lines and capabilities that were not offered", async () => {
    const { reader, writer } = scripted([
      "git-read-object-server",
      "version=1",
      null,
      "hello=1",
      "capability=have",
      "capability=fly",
      null,
    ]);
    const agreed = await offerHandshake(reader, writer, { capabilities: ["get", "have"] });
    expect(agreed).toEqual({ version: 1, capabilities: ["have"], ignored: ["fly"] });
  });
});
