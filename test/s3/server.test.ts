/** The embedded S3 server itself, with Amazon's own client as the oracle of the protocol. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { Readable } from "node:stream";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";

let server: EmbeddedS3;
let client: S3Client;
const Bucket = "test";

beforeAll(async () => {
  server = await startS3();
  client = connect(server.secretAccessKey);
});
afterAll(async () => {
  client.destroy();
  await server.close();
});
beforeEach(() => server.setFaults({}));

function connect(secretAccessKey: string): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey },
  });
}

async function bytesOf(key: string, Range?: string): Promise<Buffer> {
  const answer = await client.send(new GetObjectCommand({ Bucket, Key: key, Range }));
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
}

test("a buffer and a stream come back as they were sent, with their metadata", async () => {
  const bytes = randomBytes(3_000_000);
  const Metadata = { sha256: "abc" };
  await client.send(new PutObjectCommand({ Bucket, Key: "dir/a b+c%", Body: bytes, Metadata }));
  assert.ok((await bytesOf("dir/a b+c%")).equals(bytes));
  const Body = Readable.from([bytes.subarray(0, 1_000_000), bytes.subarray(1_000_000)]);
  await client.send(
    new PutObjectCommand({ Bucket, Key: "streamed", Body, ContentLength: bytes.length, Metadata }),
  );
  const answer = await client.send(new GetObjectCommand({ Bucket, Key: "streamed" }));
  expect(answer.Metadata).toEqual({ sha256: "abc" });
  assert.ok(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(bytes));
  assert.ok((await bytesOf("streamed", "bytes=10-19")).equals(bytes.subarray(10, 20)));
  assert.ok((await bytesOf("streamed", "bytes=-7")).equals(bytes.subarray(-7)));
  await expect(bytesOf("streamed", "bytes=3000000-")).rejects.toMatchObject({ name: "InvalidRange" });
});

test("a wrong secret, an unsigned request and a body that is not the signed one are refused", async () => {
  const stranger = connect("wrong");
  await expect(
    stranger.send(new PutObjectCommand({ Bucket, Key: "never", Body: "x" })),
  ).rejects.toMatchObject({ name: "SignatureDoesNotMatch" });
  expect((await fetch(`${server.endpoint}/test/never`)).status).toBe(403);
  const tamper = (next: (args: unknown) => Promise<unknown>) => (args: { request: unknown }) => {
    (args.request as { body: unknown }).body = Buffer.from("tampered");
    return next(args);
  };
  client.middlewareStack.addRelativeTo(tamper as never, {
    name: "tamper",
    relation: "after",
    toMiddleware: "awsAuthMiddleware",
  });
  try {
    const put = new PutObjectCommand({ Bucket, Key: "never", Body: Buffer.from("original") });
    await expect(client.send(put)).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } });
  } finally {
    client.middlewareStack.remove("tamper");
  }
  await expect(bytesOf("never")).rejects.toMatchObject({ name: "NoSuchKey" });
});

test("signed chunks: the example's shape is accepted, a changed chunk is not", async () => {
  const { signedChunks } = await import("../support/s3/chunk-client.js");
  const bytes = randomBytes(100_000);
  const good = signedChunks(server, "/test/chunked", bytes);
  expect(await send(good.headers, good.body, "/test/chunked")).toBe(200);
  assert.ok((await bytesOf("chunked")).equals(bytes));
  const bad = signedChunks(server, "/test/chunked-bad", bytes);
  bad.body[70_000] = (bad.body[70_000] ?? 0) ^ 1;
  expect(await send(bad.headers, bad.body, "/test/chunked-bad")).toBe(403);
  await expect(bytesOf("chunked-bad")).rejects.toMatchObject({ name: "NoSuchKey" });
});

test("of twenty racers with If-None-Match one wins, and of twenty with If-Match one", async () => {
  const outcomes = await race((n) => ({ Key: "race", Body: `new ${n}`, IfNoneMatch: "*" }));
  expect(outcomes.filter((name) => name === "won")).toHaveLength(1);
  expect(new Set(outcomes)).toEqual(new Set(["won", "PreconditionFailed"]));
  const { ETag } = await client.send(new GetObjectCommand({ Bucket, Key: "race" }));
  const next = await race((n) => ({ Key: "race", Body: `next ${n}`, IfMatch: ETag }));
  expect(next.filter((name) => name === "won")).toHaveLength(1);
});

test("a multipart upload: parts listed, copied, completed as one object, the upload gone", async () => {
  const part = randomBytes(5 * 1024 * 1024);
  const Key = "large";
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: part }));
  await client.send(new PutObjectCommand({ Bucket, Key: "source", Body: part }));
  const CopySource = `${Bucket}/source`;
  const CopySourceRange = "bytes=0-99";
  await client.send(
    new UploadPartCopyCommand({ Bucket, Key, UploadId, PartNumber: 2, CopySource, CopySourceRange }),
  );
  const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: "large" }));
  expect(uploads.Uploads?.map((upload) => upload.UploadId)).toEqual([UploadId]);
  const { Parts } = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
  expect(Parts?.map(({ Size }) => Size)).toEqual([part.length, 100]);
  const md5 = createHash("md5").update(part).digest("hex");
  expect(Parts?.[0]?.ETag).toBe(`"${md5}"`);
  const MultipartUpload = { Parts: Parts?.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })) };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
  assert.ok((await bytesOf(Key)).equals(Buffer.concat([part, part.subarray(0, 100)])));
  assert.ok(
    (await bytesOf(Key, "bytes=5242870-5242889")).equals(
      Buffer.concat([part.subarray(-10), part.subarray(0, 10)]),
    ),
  );
  await expect(client.send(new ListPartsCommand({ Bucket, Key, UploadId }))).rejects.toMatchObject({
    name: "NoSuchUpload",
  });
});

test("a listing comes in pages, in byte order, with prefix, delimiter and start-after", async () => {
  const keys = ["list/a/1", "list/a/2", "list/b", "list/b/3", "list/\u{10000}", "list/\uFFFD"];
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  const sorted = keys
    .map((key) => Buffer.from(key))
    .sort(Buffer.compare)
    .map(String);
  const found: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix: "list/", MaxKeys: 2, ContinuationToken }),
    );
    found.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ""));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
  expect(found).toEqual(sorted);
  const folded = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "list/", Delimiter: "/" }));
  expect(folded.CommonPrefixes).toEqual([{ Prefix: "list/a/" }, { Prefix: "list/b/" }]);
  const after = await client.send(
    new ListObjectsV2Command({ Bucket, Prefix: "list/", StartAfter: "list/b" }),
  );
  expect(after.Contents?.map(({ Key }) => Key)).toEqual(sorted.slice(3));
});

test("copy keeps bytes and metadata; deletion of many takes absent ones too", async () => {
  await client.send(new PutObjectCommand({ Bucket, Key: "from", Body: "bytes", Metadata: { a: "b" } }));
  await client.send(new CopyObjectCommand({ Bucket, Key: "to", CopySource: `${Bucket}/from` }));
  await client.send(
    new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "from" }, { Key: "absent" }] } }),
  );
  await expect(bytesOf("from")).rejects.toMatchObject({ name: "NoSuchKey" });
  expect(String(await bytesOf("to"))).toBe("bytes");
});

test("faults: refusals, a broken body, a lost answer, a stale listing, no conditions, a wrong clock", async () => {
  const put = (Key: string, more = {}) =>
    client.send(new PutObjectCommand({ Bucket, Key, Body: "1234567890", ...more }));
  await put("fault");
  await server.setFaults({ rules: [{ operation: "GetObject", kind: "slowDown", times: 1, retryAfter: 7 }] });
  await expect(bytesOf("fault")).rejects.toMatchObject({ name: "SlowDown" });
  expect(String(await bytesOf("fault"))).toBe("1234567890");
  for (const kind of ["reset", "truncate"] as const) {
    await server.setFaults({ rules: [{ operation: "GetObject", kind, afterBytes: 4 }] });
    await expect(bytesOf("fault")).rejects.toThrow(/aborted|reset|hang up/i);
  }
  await server.setFaults({ rules: [{ key: "lost", kind: "lostAnswer", times: 1 }], staleListing: true });
  await expect(put("lost")).rejects.toThrow();
  expect(String(await bytesOf("lost"))).toBe("1234567890");
  const listing = () => client.send(new ListObjectsV2Command({ Bucket, Prefix: "lost" }));
  expect((await listing()).KeyCount).toBe(0);
  await server.setFaults({ conditions: "ignored" });
  expect((await listing()).KeyCount).toBe(1);
  await put("lost", { IfNoneMatch: "*" });
  await server.setFaults({ conditions: "refused" });
  await expect(put("lost", { IfNoneMatch: "*" })).rejects.toMatchObject({
    $metadata: { httpStatusCode: 501 },
  });
  await server.setFaults({ clockSkewMs: 3_600_000 });
  await expect(put("lost")).rejects.toMatchObject({ name: "RequestTimeTooSkewed" });
});

function race(input: (n: number) => Omit<ConstructorParameters<typeof PutObjectCommand>[0], "Bucket">) {
  const runs = Array.from({ length: 20 }, (_, n) =>
    client.send(new PutObjectCommand({ Bucket, ...input(n) } as never)).then(
      () => "won",
      (error: Error) => error.name,
    ),
  );
  return Promise.all(runs);
}

function send(headers: Record<string, string>, body: Buffer, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(`${server.endpoint}${path}`, { method: "PUT", headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on("error", reject);
    call.end(body);
  });
}
