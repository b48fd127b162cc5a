/** Our own wire to S3: what it does without the SDK, whom it asks for credentials, and how it takes bad answers. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { s3Bucket } from "../../src/bucket/s3.js";
import { addressOf } from "../../src/bucket/s3-address.js";
import { wireService } from "../../src/bucket/s3-wire.js";
import { parseXml, textOf } from "../../src/bucket/s3-xml.js";
import { parseBucketUrl, type S3Location } from "../../src/bucket/url.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { startAnyS3 } from "../support/any-s3.js";
import type { S3Server } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";

let server: S3Server;
beforeAll(async () => {
  server = await startAnyS3();
});
afterAll(() => server.close());
afterEach(() => vi.unstubAllEnvs());

function bucketAt(url: string, client?: S3Client): Bucket {
  const opened = s3Bucket(url, client && { client });
  afterAll(() => opened.close());
  return opened;
}

const text = async (bucket: Bucket, key: string) =>
  (await collect((await bucket.read(key))?.content ?? assert.fail(), 1e6)).toString();

async function listening(listener: RequestListener): Promise<string> {
  const http = createServer(listener).listen(0, "127.0.0.1");
  await once(http, "listening");
  afterAll(() => new Promise((resolve) => http.close(resolve).closeAllConnections()));
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

test("what is asked often needs no SDK", async () => {
  const { s3 } = parseBucketUrl(server.url("")) as { s3: S3Location };
  const service = wireService({
    address: addressOf(s3, "us-east-1") ?? assert.fail(),
    region: "us-east-1",
    idleMs: 60_000,
    request: "required",
    response: "required",
    credentials: async () => server,
    others: () => assert.fail("the SDK was asked"),
  });
  const sending = { what: "test", signal: undefined };
  const place = { Bucket: "test", Key: "wire/ü +%&" };
  const source = {
    size: 3,
    async *open() {
      yield Buffer.from("str");
      yield Buffer.from("eam").subarray(3);
    },
  };
  await service.send("PutObject", { ...place, body: { source }, Metadata: { a: "b" } }, sending);
  expect(await service.send("HeadObject", place, sending)).toMatchObject({
    ContentLength: 3,
    Metadata: { a: "b" },
  });
  const { content } = await service.send("GetObject", { ...place, Range: "bytes=1-" }, sending);
  expect((await collect(content, 9)).toString()).toBe("tr");
  const { Contents } = await service.send("ListObjectsV2", { Bucket: "test", Prefix: "wire/" }, sending);
  expect(Contents).toMatchObject([{ Key: place.Key, Size: 3 }]);
  const { Uploads } = await service.send("ListMultipartUploads", { Bucket: "test", Prefix: "w" }, sending);
  expect(Uploads).toEqual([]);
  const removed = await service.send("DeleteObjects", { Bucket: "test", keys: [place.Key, "<&>"] }, sending);
  expect(removed).toEqual({ Errors: [] });
  await service.send("DeleteObject", place, sending);
  await service.send("HeadBucket", { Bucket: "test" }, sending);
  service.close();
});

test("a profile beats the environment: its credentials are found by the SDK", async () => {
  const file = join(tempDir("aws"), "credentials");
  const { accessKeyId, secretAccessKey } = server;
  writeFileSync(
    file,
    `[right]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
  );
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", file);
  await bucketAt(server.url("profile")).write("k", sourceOf(Buffer.from("1")));
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "wrong");
  await expect(bucketAt(server.url("profile")).read("k")).rejects.toMatchObject({ code: "denied" });
  expect(await text(bucketAt(server.url("profile", { profile: "right" })), "k")).toBe("1");
  vi.stubEnv("AWS_PROFILE", "right");
  expect(await text(bucketAt(server.url("profile")), "k")).toBe("1");
});

test("a client of the caller's makes the requests", async () => {
  const { accessKeyId, secretAccessKey, endpoint } = server;
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "wrong");
  const bucket = bucketAt(server.url("given"), client);
  await bucket.write("k", sourceOf(Buffer.from("1")));
  expect(await text(bucket, "k")).toBe("1");
  client.destroy();
});

test("a session token goes with each request, signed", async () => {
  const seen: unknown[] = [];
  const endpoint = await listening(({ headers }, response) => {
    seen.push([headers["x-amz-security-token"], headers.authorization?.includes("x-amz-security-token")]);
    response.writeHead(403).end();
  });
  vi.stubEnv("AWS_SESSION_TOKEN", "the token");
  const error = await bucketAt(`s3://test/p?endpoint=${endpoint}`)
    .read("k")
    .then(
      () => assert.fail(),
      (thrown: Error) => thrown,
    );
  expect(error).toMatchObject({ code: "denied" });
  expect(JSON.stringify(error, [...Object.getOwnPropertyNames(error), "cause"])).not.toContain("the token");
  expect(seen).toEqual([["the token", true]]);
});

test("a clock that is off is said to be, and put right for the next request", async () => {
  const dates: (string | undefined)[] = [];
  const endpoint = await listening(({ headers }, response) => {
    dates.push(headers["x-amz-date"] as string);
    response.setHeader("date", new Date(Date.now() + 7_200_000).toUTCString());
    if (dates.length > 1) response.end("x");
    else response.writeHead(403).end("<Error><Code>RequestTimeTooSkewed</Code></Error>");
  });
  const bucket = bucketAt(`s3://test/p?endpoint=${endpoint}`);
  const told = { code: "config", message: expect.stringMatching(/clock .*120 minutes/) };
  await expect(bucket.read("k")).rejects.toMatchObject(told);
  expect(await text(bucket, "k")).toBe("x");
  const [first = "", second = ""] = dates.map((date = "") =>
    date.replace(/(....)(..)(..T..)(..)(..Z)/, "$1-$2-$3:$4:$5"),
  );
  expect(Date.parse(second) - Date.parse(first)).toBeGreaterThan(7_100_000);
});

test("no redirect is followed, and the region it tells of is named", async () => {
  let asked = 0;
  const other = await listening((_, response) => {
    asked += 1;
    response.end("from elsewhere");
  });
  const endpoint = await listening((_, response) => {
    response.writeHead(301, { location: `${other}/k`, "x-amz-bucket-region": "eu-north-1" }).end();
  });
  const bucket = bucketAt(`s3://test/p?endpoint=${endpoint}`);
  const told = { code: "config", message: expect.stringContaining("region=eu-north-1") };
  await expect(bucket.read("k")).rejects.toMatchObject(told);
  await expect(bucket.head("k")).rejects.toMatchObject(told);
  expect(asked).toBe(0);
});

test.each([
  ["<html><body>Welcome</body></html>", "does not answer as S3"],
  ["<ListBucketResult><Contents>", "does not answer as S3"],
  ["", "does not answer as S3"],
])("a listing that is none (%j) is a wrong endpoint", async (body, message) => {
  const endpoint = await listening((_, response) => response.end(body));
  const entries = bucketAt(`s3://test/p?endpoint=${endpoint}`).list("");
  const reading = (async () => {
    for await (const _ of entries) assert.fail("an entry");
  })();
  await expect(reading).rejects.toMatchObject({ code: "config", message: expect.stringContaining(message) });
});

test("a body that has not the recorded checksum is broken, where checksums are wanted", async () => {
  const sums = { "x-amz-checksum-crc32": "AAAAAA==", "content-length": "8" };
  const endpoint = await listening((_, response) => response.writeHead(200, sums).end("not that"));
  const at = (mode: string) => bucketAt(`s3://test/p?endpoint=${endpoint}&checksums=${mode}`);
  await expect(text(at("supported"), "k")).rejects.toMatchObject({ code: "integrity" });
  expect(await text(at("required"), "k")).toBe("not that");
});

test("XML is read as it is meant, or not at all", () => {
  const parsed = parseXml(
    '<?xml version="1.0"?>\n<!-- c --><R xmlns="u"><K>a&amp;b&#x20;&#33;<![CDATA[<&]]></K><E/><E a=\'1\'>2</E></R>\n',
  );
  expect(textOf(parsed, "K")).toBe("a&b !<&");
  expect(parsed.children.map(({ name }) => name)).toEqual(["K", "E", "E"]);
  const bad = [
    "",
    "text",
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "<a/>x",
    "</a>",
    "<a>&no;</a>",
    "<a>&</a>",
    "<a>&#x110000;</a>",
  ];
  const doctype = '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>';
  for (const xml of [...bad, doctype, "<a>".repeat(20) + "</a>".repeat(20)])
    expect(() => parseXml(xml), xml).toThrow(SyntaxError);
});
