import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { memoryBucket } from "../../src/bucket/memory.js";
import { sourceOf } from "../../src/object/content.js";
import { parseCredentials } from "../../src/serve/access.js";
import { type RequestLog, serveBucket } from "../../src/serve/server.js";
import { tempDir } from "../support/temp.js";

const credentials = [
  { kind: "bearer", token: "t0ken" },
  { kind: "basic", username: "alice", password: "pa:ss wörd" },
] as const;

async function bucketWithKey() {
  const bucket = memoryBucket();
  await bucket.write("key", sourceOf(Buffer.from("content")));
  return bucket;
}

/** A request with header fields that `fetch` would not let through. */
function ask(url: string, options: RequestOptions = {}): Promise<{ status: number; headers: object }> {
  const send = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((done, fail) => {
    const request = send(url, options, (answer: IncomingMessage) => {
      answer.resume();
      answer.on("end", () => done({ status: answer.statusCode ?? 0, headers: answer.headers }));
    });
    request.on("error", fail);
    request.end();
  });
}

const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });

describe("credentials", () => {
  test.each([
    ["none", {}, 401],
    ["the token", { authorization: "Bearer t0ken" }, 200],
    ["the token, scheme in capitals", { authorization: "BEARER t0ken" }, 200],
    ["the token as anybody's password", basic("anybody:t0ken"), 200],
    ["user and password", basic("alice:pa:ss wörd"), 200],
    ["another token", { authorization: "Bearer t0ken2" }, 401],
    ["the beginning of the token", { authorization: "Bearer t0ke" }, 401],
    ["the password as a token", { authorization: "Bearer pa:ss" }, 401],
    ["another password", basic("alice:pa"), 401],
    ["another user", basic("bob:pa:ss wörd"), 401],
    ["an unknown scheme", { authorization: "Digest t0ken" }, 401],
    ["no value", { authorization: "Bearer" }, 401],
  ])("%s", async (_, headers, status) => {
    await using server = await serveBucket(await bucketWithKey(), { credentials });
    const answer = await ask(`${server.url}/key`, { headers: headers as Record<string, string> });
    expect(answer.status).toBe(status);
    if (status === 401) {
      expect(answer.headers).toMatchObject({ "www-authenticate": expect.stringMatching(/^Basic .*Bearer/) });
    }
  });

  test("come from a file: users with passwords, tokens, comments", () => {
    expect(parseCredentials("# who\r\n\nalice:pa:ss\n  t0ken \n", "f")).toEqual([
      { kind: "basic", username: "alice", password: "pa:ss" },
      { kind: "bearer", token: "t0ken" },
    ]);
    expect(() => parseCredentials("# nobody\n", "cred.txt")).toThrow("cred.txt: no credential in it");
  });
});

describe("who is refused", () => {
  test.each([
    ["its own address", {}, 200],
    ["localhost", { host: "localhost:1234" }, 200],
    ["IPv6 loopback", { host: "[::1]:99" }, 200],
    ["a given name", { host: "Odb.Example.org" }, 200],
    ["another name", { host: "attacker.example" }, 403],
    ["another address", { host: "10.0.0.1" }, 403],
    ["a web page", { origin: "http://localhost" }, 403],
    ["a sandboxed web page", { origin: "null" }, 403],
  ])("%s", async (_, headers, status) => {
    const server = await serveBucket(await bucketWithKey(), { hostNames: ["odb.example.org"] });
    await using _server = server;
    const answer = await ask(`${server.url}/key`, { headers: headers as Record<string, string> });
    expect(answer.status).toBe(status);
  });

  test("a server that others can reach without credentials is not started, nor one that deletes", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.org"]) {
      await expect(serveBucket(memoryBucket(), { host })).rejects.toMatchObject({ code: "config" });
    }
    await expect(serveBucket(memoryBucket(), { allowDelete: true })).rejects.toMatchObject({
      code: "config",
    });
    await using server = await serveBucket(await bucketWithKey(), { host: "0.0.0.0", credentials });
    expect((await ask(`${server.url}/key`)).status).toBe(401);
  });

  test("writes to a read-only server and deletions that were not allowed change nothing", async () => {
    const bucket = await bucketWithKey();
    await using server = await serveBucket(bucket);
    await using readOnly = await serveBucket(bucket, { readOnly: true, allowDelete: true, credentials });
    const oid = "a".repeat(40);
    const status = async (url: string, method: string, path: string) => {
      const headers = { authorization: "Bearer t0ken" };
      return (await fetch(url + path, { method, headers, ...(method === "PUT" && { body: "x" }) })).status;
    };
    expect(await status(server.url, "DELETE", "/key")).toBe(403);
    expect(await status(server.url, "POST", `/upload/?sha1=${oid}&size=1&type=blob&delete=1`)).toBe(403);
    expect(await status(readOnly.url, "DELETE", "/key")).toBe(403);
    expect(await status(readOnly.url, "PUT", "/other")).toBe(403);
    expect(await status(readOnly.url, "POST", "/?copy&from=key&to=other")).toBe(403);
    expect(await status(readOnly.url, "POST", `/upload/?sha1=${oid}&size=1&type=blob`)).toBe(403);
    const keys: string[] = [];
    for await (const { key } of bucket.list("")) keys.push(key);
    expect(keys).toEqual(["key"]);
  });
});

test("the log names requests and inner failures, never a credential", async () => {
  const log: RequestLog[] = [];
  const bucket = await bucketWithKey();
  bucket.head = async () => {
    throw new Error("/srv/secret/place: EIO");
  };
  await using server = await serveBucket(bucket, { credentials, log: (line) => void log.push(line) });
  const answer = await fetch(`${server.url}/key?x=1`, {
    method: "GET",
    headers: { authorization: "Bearer t0ken", "if-match": '"x"' },
  });
  expect(answer.status).toBe(500);
  expect(await answer.text()).toBe("GET /key?x=1: failure of the server\n");
  await server.close();
  expect(log).toMatchObject([{ method: "GET", target: "/key?x=1", status: 500, remote: "127.0.0.1" }]);
  expect(log[0]?.error?.message).toContain("/srv/secret/place");
  expect(JSON.stringify(log)).not.toContain("t0ken");
});

test("TLS by key and certificate", async () => {
  const dir = tempDir("tls");
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...ec, "-keyout", key, "-out", cert, ...subject], {
    stdio: "ignore",
  });
  const tls = { key: readFileSync(key), cert: readFileSync(cert) };
  await using server = await serveBucket(await bucketWithKey(), { tls });
  expect(server.url).toMatch(/^https:/);
  expect((await ask(`${server.url}/key`, { ca: tls.cert } as RequestOptions)).status).toBe(200);
  await expect(ask(`${server.url}/key`)).rejects.toThrow("self-signed");
});
