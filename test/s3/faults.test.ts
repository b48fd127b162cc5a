/** The S3 bucket when the service misbehaves: every failure named, nothing lost, interrupted uploads resumed. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { type S3BucketOptions, s3Bucket } from "../../src/bucket/s3.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { type EmbeddedS3, type FaultRule, startS3 } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";

const MIB = 1024 * 1024;

let server: EmbeddedS3;
let bucket: Bucket;
beforeAll(async () => {
  server = await startS3();
  Object.assign(process.env, server.env);
  bucket = fresh();
});
afterAll(() => server.close());
beforeEach(async () => {
  await server.setFaults({});
  await server.takeRequests();
});

function fresh(prefix = "faults", options: S3BucketOptions = {}): Bucket {
  const opened = s3Bucket(server.url(prefix), options);
  afterAll(() => opened.close());
  return opened;
}

const put = (key: string, options = {}, from = bucket) =>
  from.write(key, sourceOf(Buffer.from(key)), options);
const rule = (kind: FaultRule["kind"], more: Partial<FaultRule> = {}) =>
  server.setFaults({ rules: [{ kind, ...more }] });

async function operations(): Promise<string[]> {
  return (await server.takeRequests()).map(({ operation }) => operation);
}

test.each([
  ["slowDown", "unavailable"],
  ["internal", "unavailable"],
  ["conflict", "unavailable"],
  ["forbidden", "denied"],
  ["full", "full"],
  ["quota", "full"],
  ["reset", "unavailable"],
] as const)("%s is %s, is tried once, and is never taken for absence", async (kind, code) => {
  await put("k");
  await rule(kind, { times: 1 });
  await expect(put("k2")).rejects.toMatchObject({ code, message: expect.stringContaining("faults/k2") });
  // The others answer writes only, or with a code that a HEAD would not show.
  if (["reset", "quota", "conflict"].includes(kind)) return;
  await rule(kind);
  await server.takeRequests();
  const calls = [
    () => bucket.read("k"),
    () => bucket.copy("k", "k3"),
    () => bucket.remove(["k"]),
    () => bucket.remove(["k", "l"]),
  ];
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code });
  expect(await server.takeRequests()).toHaveLength(calls.length);
});

test("Retry-After is handed on", async () => {
  await rule("slowDown", { retryAfter: 7 });
  await expect(put("k")).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 7000 });
  await expect(bucket.head("k")).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 7000 });
});

test.each(["reset", "truncate"] as const)(
  "a body that ends early (%s) is never passed off as whole",
  async (kind) => {
    await bucket.write("body", sourceOf(randomBytes(MIB)));
    await rule(kind, { afterBytes: 100_000 });
    const body = await bucket.read("body");
    await expect(collect(body?.content ?? assert.fail(), MIB)).rejects.toMatchObject({ code: "integrity" });
  },
);

test("a wrong clock is said to be one, for requests whose answer has a code and those without", async () => {
  await server.setFaults({ clockSkewMs: 3_600_000 });
  const told = { code: "config", message: expect.stringMatching(/clock .*60 minutes/) };
  await expect(fresh().read("k")).rejects.toMatchObject(told);
  await expect(fresh().head("k")).rejects.toMatchObject(told);
});

test.each(["ignored", "refused"] as const)(
  "conditions %s by the service: found out, and refused before a write",
  async (conditions) => {
    const other = fresh(conditions);
    await server.setFaults({ conditions });
    await put("k", {}, other);
    expect(await other.conditionalWrites()).toBe(false);
    await expect(put("k", { ifAbsent: true }, other)).rejects.toMatchObject({ code: "unsupported" });
    await server.takeRequests();
    expect(await other.conditionalWrites()).toBe(false);
    expect(await operations()).toEqual([]);
  },
);

test("a service that compares ETags without their quotes is found out, and served so", async () => {
  const other = fresh("bare");
  await server.setFaults({ bareEtags: true });
  const outcome = await put("k", { ifAbsent: true }, other);
  assert.ok(outcome.written && outcome.etag);
  expect((await other.write("k", sourceOf(Buffer.from("2")), { ifMatch: outcome.etag })).written).toBe(true);
  expect((await other.write("k", sourceOf(Buffer.from("3")), { ifMatch: outcome.etag })).written).toBe(false);
});

test("a probe that is denied is no answer: it is asked again", async () => {
  const other = fresh("probe");
  await rule("forbidden");
  await expect(other.conditionalWrites()).rejects.toMatchObject({ code: "denied" });
  await server.setFaults({});
  expect(await other.conditionalWrites()).toBe(true);
});

test("a large conditional write is one PUT, for no service need evaluate conditions on a completion", async () => {
  const other = fresh("large-condition", { limits: { onePut: MIB } });
  await server.setFaults({ completeConditions: "ignored" });
  const source = sourceOf(randomBytes(2 * MIB));
  expect((await other.write("k", source, { ifAbsent: true })).written).toBe(true);
  expect((await other.write("k", source, { ifAbsent: true })).written).toBe(false);
  expect(await operations()).not.toContain("CreateMultipartUpload");
});

test("a conditional write whose answer is lost is known to have won: at once, or when it is tried again", async () => {
  const other = fresh("lost-condition");
  expect(await other.conditionalWrites()).toBe(true);
  const lost = { kind: "lostAnswer", operation: "PutObject", times: 1 } as const;
  await server.setFaults({ rules: [lost] });
  expect((await put("a", { ifAbsent: true }, other)).written).toBe(true);
  expect((await put("a", { ifAbsent: true }, other)).written).toBe(false);
  const source = sourceOf(Buffer.from("b"));
  await server.setFaults({ rules: [lost, { kind: "slowDown", operation: "HeadObject", times: 1 }] });
  await expect(other.write("b", source, { ifAbsent: true })).rejects.toMatchObject({ code: "unavailable" });
  expect((await other.write("b", source, { ifAbsent: true })).written).toBe(true);
  expect((await other.write("b", source, { ifAbsent: true })).written).toBe(false);
});

test("services that refuse checksums or streamed bodies are served by default", async () => {
  await server.setFaults({ refuseChecksums: true, refuseStreamed: true });
  for (const size of [10, 2 * MIB, 17 * MIB]) await bucket.write("plain", sourceOf(randomBytes(size)));
  expect((await bucket.head("plain"))?.size).toBe(17 * MIB);
  const supported = s3Bucket(server.url("faults", { checksums: "supported" }));
  const told = { code: "config", message: expect.stringContaining("checksums=required") };
  await expect(put("k", {}, supported)).rejects.toMatchObject(told);
  await supported.close();
});

test("a part that fails is tried again by itself", async () => {
  await rule("internal", { operation: "UploadPart", skip: 1, times: 1 });
  const bytes = randomBytes(33 * MIB);
  await bucket.write("parts", sourceOf(bytes));
  assert.ok((await collect((await bucket.read("parts"))?.content ?? assert.fail(), 64 * MIB)).equals(bytes));
  expect((await operations()).filter((name) => name === "UploadPart")).toHaveLength(4);
});

test("an upload whose completion got no answer is done; one whose completion failed is not", async () => {
  const source = sourceOf(randomBytes(17 * MIB));
  await rule("lostAnswer", { operation: "CompleteMultipartUpload" });
  expect((await bucket.write("lost", source)).written).toBe(true);
  await rule("completeError", { operation: "CompleteMultipartUpload" });
  await expect(bucket.write("failed", source)).rejects.toMatchObject({ code: "unavailable" });
  expect(await bucket.head("failed")).toBeUndefined();
});

test("kill -9 in the middle of an upload: the next run proves the parts that are there and sends the others", async () => {
  const bytes = randomBytes(40 * MIB);
  const file = join(tempDir("s3"), "source");
  writeFileSync(file, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await rule("hang", { operation: "UploadPart", skip: 2 });
  const root = join(import.meta.dirname, "../..");
  const writer = [join(root, "scripts/run-ts.js"), join(root, "test/s3/writer.ts")];
  const child = spawn(process.execPath, [...writer, server.url("faults"), "resumed", file, sha256], {
    stdio: "inherit",
  });
  for (let parts = 0; parts < 2; await sleep(20)) {
    parts += (await operations()).filter((name) => name === "UploadPart").length;
    expect(child.exitCode).toBeNull();
  }
  child.kill("SIGKILL");
  await once(child, "exit");
  await server.setFaults({});
  await bucket.write("resumed", sourceOf(bytes), { sha256 });
  const seen = await operations();
  expect(seen.filter((name) => name === "UploadPart")).toHaveLength(1);
  expect(seen).not.toContain("CreateMultipartUpload");
  assert.ok(
    (await collect((await bucket.read("resumed"))?.content ?? assert.fail(), 64 * MIB)).equals(bytes),
  );
  expect(await bucket.head("resumed")).toMatchObject({ sha256 });
});

test("an unfinished upload of other bytes is not continued, and its checksum never vouches for ours", async () => {
  const theirs = randomBytes(40 * MIB);
  const ours = Buffer.concat([theirs.subarray(0, 16 * MIB), randomBytes(24 * MIB)]);
  const sum = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  for (const passed of [1, 2]) {
    const key = `other-${passed}`;
    await rule("forbidden", { operation: "UploadPart", skip: passed });
    await expect(bucket.write(key, sourceOf(theirs), { sha256: sum(theirs) })).rejects.toMatchObject({
      code: "denied",
    });
    await server.setFaults({});
    await bucket.write(key, sourceOf(ours), { sha256: sum(ours) });
    assert.ok((await collect((await bucket.read(key))?.content ?? assert.fail(), 64 * MIB)).equals(ours));
    expect(await bucket.head(key)).toMatchObject({ sha256: sum(ours) });
  }
});

test("without a credential there is one line that says what to set, and names of buckets hold none", async () => {
  const saved = { ...process.env };
  delete process.env.AWS_ACCESS_KEY_ID;
  delete process.env.AWS_SECRET_ACCESS_KEY;
  try {
    const error = await put("k", {}, fresh("nobody")).then(
      () => assert.fail(),
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ code: "denied", message: expect.stringContaining("AWS_PROFILE") });
    expect(error.message).not.toContain("\n");
  } finally {
    Object.assign(process.env, saved);
  }
  expect(bucket.name).toBe("s3://test/faults");
});

test("an endpoint that is no S3 service, or nobody at all, is named", async () => {
  const nobody = s3Bucket("s3://test/p?endpoint=http://127.0.0.1:9&region=r");
  await expect(nobody.read("k")).rejects.toMatchObject({ code: "unavailable" });
  await nobody.close();
  expect(() => s3Bucket("s3://test/p?sse=rot13")).toThrow(expect.objectContaining({ code: "invalid" }));
});
