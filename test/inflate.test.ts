/** Small zlib streams, inflated at once: as node:zlib itself does it, with one engine or anew for each. */

import { randomBytes } from "node:crypto";
import { deflateSync } from "node:zlib";
import { expect, it } from "vitest";
import { inflateAtOnce } from "../src/object/inflate.js";
import { inflateEngine } from "../src/object/inflate-engine.js";

/** Text and noise, also larger than what the engine takes. */
const contents = [0, 1, 7, 150, 2600, 65_535, 65_536, 65_537, 300_000].flatMap((size) => [
  randomBytes(size),
  Buffer.from("some text, over and over; ".repeat(size)).subarray(0, size),
]);

const integrity = expect.objectContaining({ code: "integrity", message: expect.stringMatching(/^x: /) });

const failureOf = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

it("this Node has an engine that works", () => {
  expect(inflateEngine()).toBeDefined();
});

it.each([0, 1, 6, 9])("gives the content, and where it ended, of level %i", (level) => {
  for (const content of contents) {
    const stream = deflateSync(content, { level });
    for (const behind of [0, 1, 5000]) {
      const bytes = Buffer.concat([stream, randomBytes(behind)]);
      for (const limit of [content.length, content.length + 9]) {
        const inflated = inflateAtOnce(bytes, limit, "x");
        expect(inflated.content.equals(content)).toBe(true);
        expect(inflated.consumed).toBe(stream.length);
      }
    }
  }
});

it("refuses what is longer than its limit, cut short, changed or no stream, and goes on with the next", () => {
  const [good, text] = [deflateSync("good"), Buffer.from("good")];
  for (const content of contents.filter(({ length }) => length > 0)) {
    const stream = deflateSync(content);
    const changed = Buffer.from(stream);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    for (const [bytes, limit] of [
      [stream, content.length - 1],
      [stream, 0],
      [stream.subarray(0, -1), content.length],
      [stream.subarray(0, 1), content.length],
      [Buffer.alloc(0), content.length],
      [changed, content.length],
      [Buffer.alloc(100, 0xff), content.length],
    ] as const) {
      expect(failureOf(() => inflateAtOnce(bytes, limit, "x"))).toEqual(integrity);
      expect(inflateAtOnce(good, 4, "x").content.equals(text)).toBe(true);
    }
  }
});

it("puts it where it is told to, and nowhere else", () => {
  const room = Buffer.alloc(100, 0xee);
  const { content } = inflateAtOnce(deflateSync("here"), 4, "x", room);
  expect(content.buffer).toBe(room.buffer);
  expect(room.toString("latin1", 0, 4)).toBe("here");
  expect(room.subarray(5).equals(Buffer.alloc(95, 0xee))).toBe(true);
});
