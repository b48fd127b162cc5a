/** The bucket's contract over HTTP between two processes, as helpers and `git odb serve` have it. */

import { afterAll, describe, expect, test } from "vitest";
import { openBucket } from "../src/bucket/open.js";
import type { BucketOptions } from "../src/bucket/options.js";
import { collect, sourceOf } from "../src/object/content.js";
import { testBucket } from "./support/bucket-contract.js";
import { startFaultyProxy } from "./support/faulty-proxy.js";
import { startServeProcess } from "./support/serve-process.js";

const credential = { username: "alice", password: "open: sesame" };
const options: BucketOptions = {
  credentials: { fill: async () => credential, approve: async () => {}, reject: async () => {} },
};
const serveOptions = { allowDelete: true, credentials: [{ kind: "basic", ...credential }] } as const;

testBucket("http, from a server in another process", async () => {
  const server = await startServeProcess("memory:", serveOptions);
  const [bucket, other, denied] = await Promise.all([
    openBucket(server.url, options),
    openBucket(server.url, options),
    openBucket(server.url),
  ]);
  afterAll(async () => {
    for (const each of [bucket, other, denied]) await each.close();
    await server.close();
  });
  return { bucket, other, denied };
}, ["unconditional", "staging"]);

describe("a bad network between them", () => {
  test("is survived by retries: refusals, resets, cut bodies, lost answers", async () => {
    await using server = await startServeProcess("memory:", serveOptions);
    await using proxy = await startFaultyProxy(server.url);
    const bucket = await openBucket(proxy.url, { ...options, retry: { baseMs: 1 } });
    const bytes = Buffer.alloc(3_000_000, "0123456789");
    for (const fault of [
      { kind: "status", status: 503, headers: { "retry-after": "0" } },
      { kind: "reset" },
      { kind: "reset-upload", afterBytes: 1_000_000 },
      { kind: "lose-answer" },
    ] as const) {
      proxy.clear();
      // The first request of a client is the one that learns that a password is needed.
      proxy.add({ method: "PUT", nth: proxy.seen.length === 0 ? 2 : 1, fault });
      expect(await bucket.write(fault.kind, sourceOf(bytes)), fault.kind).toMatchObject({ written: true });
      expect(proxy.seen.map((request) => request.fault)).toContain(fault.kind);
    }
    for (const fault of [
      { kind: "status", status: 502 },
      { kind: "reset" },
      { kind: "reset", afterBytes: 2_000_000 },
      { kind: "truncate", afterBytes: 1_000_000 },
    ] as const) {
      proxy.clear();
      proxy.add({ method: "GET", fault });
      const body = await bucket.read("reset");
      const read = await collect(body?.content ?? sourceOf(Buffer.alloc(0)).open(), bytes.length);
      expect(read.equals(bytes), fault.kind).toBe(true);
    }
    await bucket.close();
  });

  test("never lets a write claim that it lost against itself", async () => {
    await using server = await startServeProcess("memory:", serveOptions);
    await using proxy = await startFaultyProxy(server.url);
    const bucket = await openBucket(proxy.url, { ...options, retry: { baseMs: 1 } });
    expect(await bucket.conditionalWrites()).toBe(true);
    proxy.add({ method: "PUT", path: /^\/refs$/, fault: { kind: "lose-answer" } });
    const write = bucket.write("refs", sourceOf(Buffer.from("one")), { ifAbsent: true });
    await expect(write).rejects.toMatchObject({ code: "conflict" });
    await bucket.close();
  });

  test("a password goes to no other host", async () => {
    await using server = await startServeProcess("memory:", serveOptions);
    await using thief = await startFaultyProxy(server.url);
    thief.add({ times: Number.POSITIVE_INFINITY, fault: { kind: "status", status: 401 } });
    await using proxy = await startFaultyProxy(server.url);
    const bucket = await openBucket(proxy.url, options);
    expect(await bucket.head("key")).toBeUndefined();
    const location = `${thief.url.replace("127.0.0.1", "localhost")}/key`;
    proxy.add({ method: "GET", fault: { kind: "status", status: 302, headers: { location } } });
    await expect(bucket.read("key")).rejects.toMatchObject({ code: "denied" });
    expect(thief.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    await bucket.close();
  });
});
