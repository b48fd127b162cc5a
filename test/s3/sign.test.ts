/** Our signatures and requests, with Amazon's own client as the oracle: the same address, path, query and signature. */

import { createHash } from "node:crypto";
import { S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { expect, test } from "vitest";
import { addressOf, wireSettings } from "../../src/bucket/s3-address.js";
import type { S3Calls, S3Operation } from "../../src/bucket/s3-calls.js";
import { environmentCredentials } from "../../src/bucket/s3-credentials.js";
import { loadSdk, sdkService } from "../../src/bucket/s3-sdk-service.js";
import { clientConfig } from "../../src/bucket/s3-service.js";
import { encodeQuery, signer } from "../../src/bucket/s3-sign.js";
import { signedRequest } from "../../src/bucket/s3-wire.js";
import { type WireCall, wireCalls } from "../../src/bucket/s3-wire-calls.js";
import { parseBucketUrl, type S3Location } from "../../src/bucket/url.js";
import { sourceOf } from "../../src/object/content.js";

const who = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const time = new Date("2026-02-03T04:05:06.789Z");

const odd = fc.string({
  unit: fc.constantFrom(..."aZ09-._~ +%&=?#!'()*@$,;:/é日😀<>\""),
  minLength: 1,
  maxLength: 30,
});

test("Amazon's published example has its published signature", () => {
  const headers = { host: "examplebucket.s3.amazonaws.com", range: "bytes=0-9" };
  const payload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const request = { method: "GET", path: "/test.txt", query: "", headers, payload };
  const example = {
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  };
  const { authorization } = signer("us-east-1")(request, example, new Date("2013-05-24T00:00:00Z"));
  expect(authorization).toContain(
    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  );
});

const urls = [
  "s3://a-bucket/pre/fix?region=eu-central-1",
  "s3://a-bucket?region=us-gov-west-1",
  "s3://a-bucket?region=us-east-1&pathStyle=true&checksums=required",
  "s3://a-bucket/p?region=r&endpoint=https://s3.example.com:9000",
  "s3://a-bucket/p?region=r&endpoint=http://127.0.0.1:9000/base/",
  "s3://A_bucket.b/p?region=r&endpoint=http://localhost:9000&checksums=supported",
  "s3://a-bucket/p?region=r&endpoint=https://s3.example.com&pathStyle=false",
].map((url) => (parseBucketUrl(url) as { s3: S3Location }).s3);

test("our requests go to the same place with the same words as the SDK's, and are signed as its are", async () => {
  const sdk = await loadSdk();
  const token = fc.option(fc.base64String({ minLength: 4 }), { nil: undefined });
  const key = odd.filter((text) => !text.includes("/") && !/^\.+$/.test(text));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...urls),
      key,
      fc.nat(99),
      token,
      async (location, Key, number, sessionToken) => {
        const Bucket = location.bucket;
        const bytes = Buffer.from(Key);
        const md5 = createHash("md5").update(bytes).digest("base64");
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        const body = { source: sourceOf(bytes), bytes, md5, sha256 };
        const Metadata = { "git-odb-sha256": sha256 };
        const put = { Bucket, Key, body, Metadata, ContentType: "text/plain" };
        const calls: [S3Operation, S3Calls[S3Operation]["input"]][] = [
          ["HeadBucket", { Bucket }],
          ["HeadObject", { Bucket, Key }],
          ["GetObject", { Bucket, Key, Range: `bytes=${number}-` }],
          ["PutObject", { ...put, IfNoneMatch: "*", StorageClass: "STANDARD_IA" }],
          ["PutObject", { ...put, IfMatch: '"e"', ServerSideEncryption: "aws:kms", SSEKMSKeyId: "k" }],
          ["DeleteObject", { Bucket, Key }],
          ["DeleteObjects", { Bucket, keys: [Key, `${Key}2`] }],
          ["ListMultipartUploads", { Bucket, Prefix: Key, KeyMarker: "k+", UploadIdMarker: `${number}` }],
          ["ListObjectsV2", { Bucket, Prefix: Key, MaxKeys: number, ContinuationToken: "a+/b=" }],
        ];
        const [operation, input] = calls[number % calls.length] as (typeof calls)[0];
        const credentials = { ...who, ...(sessionToken && { sessionToken }) };
        let theirs: SeenRequest | undefined;
        const handle = async (request: SeenRequest) => {
          theirs = request;
          throw new Error("seen");
        };
        const client = new S3Client({
          ...clientConfig(location, 60_000),
          credentials,
          requestHandler: { handle } as never,
        });
        const sending = { what: "ask", signal: undefined };
        await expect(sdkService(client, sdk).send(operation, input, sending)).rejects.toThrow("seen");
        const settings = wireSettings(location, {});
        const address = settings?.region && addressOf(location, settings.region);
        const make = wireCalls[operation] as (input: unknown, modes: unknown) => WireCall<unknown>;
        if (!address || theirs === undefined) throw new Error(`no wire for ${JSON.stringify(location)}`);
        const ours = signedRequest(address, make(input, settings), signer("r"), credentials, time);
        const port = theirs.port === undefined ? "" : `:${theirs.port}`;
        expect(`${ours.url.protocol}//${ours.url.host}${ours.url.pathname}`).toBe(
          `${theirs.protocol}//${theirs.hostname}${port}${theirs.path}`,
        );
        const { "x-id": _, ...query } = theirs.query;
        const asked = Object.fromEntries(ours.url.searchParams);
        expect(asked).toEqual(Object.fromEntries(Object.entries(query).map(([k, v]) => [k, v ?? ""])));
        expect(wordsOf(ours.headers)).toEqual(wordsOf(theirs.headers));
        expect(resigned(theirs, settings.region ?? "", credentials)).toBe(theirs.headers.authorization);
      },
    ),
    { numRuns: 150 },
  );
});

interface SeenRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query: Record<string, string | null>;
  readonly headers: Record<string, string>;
}

/** The Authorization that our signer gives to a request of the SDK's, of the headers that it signed. */
function resigned(theirs: SeenRequest, region: string, credentials: typeof who): string | undefined {
  const {
    authorization = "",
    "x-amz-date": date = "",
    "x-amz-content-sha256": payload = "",
  } = theirs.headers;
  const names = /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(";") ?? [];
  const headers = Object.fromEntries(names.map((name) => [name, theirs.headers[name] ?? ""]));
  const at = date.replace(/(....)(..)(..T..)(..)(..Z)/, "$1-$2-$3:$4:$5");
  const query = Object.entries(theirs.query).map(([name, value]) => [name, value ?? ""]);
  const { method, path } = theirs;
  const request = { method, path, query: encodeQuery(Object.fromEntries(query)), headers, payload };
  return signer(region)(request, credentials, new Date(at)).authorization;
}

/** Headers that mean something to S3; the body of DeleteObjects may be written in two ways, so its sums are not compared. */
function wordsOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const isDelete = headers["content-type"] === "application/xml";
  const own = isDelete
    ? /^(host|content-type)$/
    : /^(host|range|if-|content-(type|md5)|x-amz-(?!date|user-agent))/;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => own.test(name)));
}

test.each([
  ["s3://b?region=eu-west-1", {}, true],
  ["s3://b?region=eu-west-1", { AWS_ENDPOINT_URL: "http://x" }, false],
  ["s3://b?region=eu-west-1", { AWS_ENDPOINT_URL_S3: "http://x" }, false],
  ["s3://b?region=eu-west-1", { AWS_USE_DUALSTACK_ENDPOINT: "true" }, false],
  ["s3://b?region=eu-west-1", { AWS_USE_FIPS_ENDPOINT: "true" }, false],
  ["s3://b?region=eu-west-1", { AWS_CREDENTIAL_SCOPE: "x" }, false],
  ["s3://b?region=eu-west-1", { AWS_REQUEST_CHECKSUM_CALCULATION: "sometimes" }, false],
  ["s3://b--euw1-az1--x-s3?region=eu-west-1", {}, false],
  ["s3://b?profile=p", {}, true],
  ["s3://b?region=r&profile=p&endpoint=http://localhost:1", {}, true],
] as const)("%s with %j: our wire %s", (url, env, ours) => {
  const { s3 } = parseBucketUrl(url) as { s3: S3Location };
  const none = { AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" };
  expect(wireSettings(s3, { ...none, ...env }) !== undefined).toBe(ours);
});

test("regions and names that need rules of their own are the SDK's", () => {
  const of = (url: string, region: string) =>
    addressOf((parseBucketUrl(url) as { s3: S3Location }).s3, region)?.base;
  expect(of("s3://bucket", "eu-west-1")).toBe("https://bucket.s3.eu-west-1.amazonaws.com");
  for (const region of ["cn-north-1", "us-iso-east-1", "aws-global", "fips-us-east-1", ""])
    expect(of("s3://bucket", region)).toBeUndefined();
  expect(of("s3://with.dots", "eu-west-1")).toBeUndefined();
});

test("keys of the environment count unless a profile is named", () => {
  const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret", AWS_SESSION_TOKEN: "token" };
  const found = { accessKeyId: "id", secretAccessKey: "secret", sessionToken: "token" };
  expect(environmentCredentials(undefined, env)).toEqual(found);
  expect(environmentCredentials("p", env)).toBeUndefined();
  expect(environmentCredentials(undefined, { ...env, AWS_PROFILE: "p" })).toBeUndefined();
  expect(environmentCredentials(undefined, { ...env, AWS_SECRET_ACCESS_KEY: "" })).toBeUndefined();
});
