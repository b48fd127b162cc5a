/** A source that is not read from hangs up: reading ahead never quite stops, and memory stays bounded. */

import { expect, it } from "vitest";
import { keptAlive } from "../../src/mirror/keep-alive.js";
import type { Content } from "../../src/object/content.js";

/** Chunks of 10 bytes that all say their number; notes how far it was read. */
function counted(count: number, seen: { read: number; closed?: boolean }): Content {
  return (async function* () {
    // One buffer for all: a producer may do that.
    const chunk = Buffer.alloc(10);
    try {
      for (let i = 0; i < count; i++) {
        seen.read = i + 1;
        yield chunk.fill(i % 256);
      }
    } finally {
      seen.closed = true;
    }
  })();
}

it("reads as far ahead as it may, and a drop at a time beyond", async () => {
  const seen = { read: 0 };
  const content = keptAlive(counted(1000, seen), { ahead: 100, everyMs: 5 })[Symbol.asyncIterator]();
  await content.next();
  await new Promise((done) => setTimeout(done, 1));
  const soon = seen.read;
  expect(soon).toBeGreaterThanOrEqual(10);
  expect(soon).toBeLessThan(500);
  while (seen.read < soon + 5) await new Promise((done) => setTimeout(done, 5));
  const rest: number[] = [];
  for (let step = await content.next(); !step.done; step = await content.next())
    rest.push(step.value[0] ?? -1);
  expect(rest).toEqual(Array.from({ length: 999 }, (_, i) => (i + 1) % 256));
});

it("never holds more than its limit while the consumer waits", async () => {
  const seen = { read: 0 };
  const content = keptAlive(counted(1000, seen), { ahead: 100, everyMs: 1e6 })[Symbol.asyncIterator]();
  for (let taken = 1; taken <= 50; taken++) {
    await content.next();
    await new Promise((done) => setImmediate(done));
    expect(seen.read - taken).toBeLessThanOrEqual(11);
  }
  await content.return?.();
  expect(seen).toMatchObject({ closed: true });
});

it("hands a failure on, after what came before it", async () => {
  async function* failing(): Content {
    yield Buffer.from("a");
    throw new Error("cut");
  }
  const got: string[] = [];
  await expect(async () => {
    for await (const chunk of keptAlive(failing())) got.push(Buffer.from(chunk).toString());
  }).rejects.toThrow("cut");
  expect(got).toEqual(["a"]);
});
