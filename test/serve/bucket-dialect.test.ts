import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { type RunningServer, serveBucket } from "../../src/serve/server.js";
import { tempDir } from "../support/temp.js";

const token = "s3cret-token";
const authorization = `Bearer ${token}`;

/** A request with the token; `path` is used as it is. */
async function call(server: RunningServer, method: string, path: string, init: RequestInit = {}) {
  const headers = { authorization, ...(init.headers as Record<string, string>) };
  return fetch(server.url + path, { ...init, method, headers });
}

describe.each([
  ["memory", () => memoryBucket()],
  ["file", () => fileBucket(tempDir("bucket"))],
])("the bucket dialect over a %s bucket", (_, open: () => Bucket) => {
  let bucket: Bucket;
  let server: RunningServer;

  beforeAll(async () => {
    bucket = open();
    const credentials = [{ kind: "bearer", token }] as const;
    server = await serveBucket(bucket, { credentials, allowDelete: true });
  });
  afterAll(async () => {
    await server.close();
    await bucket.close();
  });

  const stored = async (key: string) => {
    const body = await bucket.read(key);
    return body && (await collect(body.content, 1 << 25)).toString("latin1");
  };

  test("writes and reads a key, with all that is known of it", async () => {
    const put = await call(server, "PUT", "/a/key%20with%20blank", { body: "content" });
    expect([put.status, await put.text()]).toEqual([204, ""]);
    const got = await call(server, "GET", "/a/key%20with%20blank");
    expect(await got.text()).toBe("content");
    expect(got.headers.get("etag")).toBe(put.headers.get("etag"));
    expect(got.headers.get("content-length")).toBe("7");
    expect(got.headers.get("accept-ranges")).toBe("bytes");
    expect(new Date(got.headers.get("last-modified") ?? "").getTime()).toBeGreaterThan(Date.now() - 3600_000);
    const head = await call(server, "HEAD", "/a/key%20with%20blank");
    for (const name of ["etag", "content-length", "last-modified", "x-odb-dialect"]) {
      expect(head.headers.get(name)).toBe(got.headers.get(name));
    }
    expect((await call(server, "GET", "/absent")).status).toBe(404);
    expect((await call(server, "HEAD", "/absent")).status).toBe(404);
  });

  test("a large body goes through a file and comes back the same", async () => {
    const body = Buffer.alloc(5_000_001, "0123456789abcdef!");
    expect((await call(server, "PUT", "/large", { body })).status).toBe(204);
    const back = Buffer.from(await (await call(server, "GET", "/large")).arrayBuffer());
    expect(back.equals(body)).toBe(true);
  });

  test.each([
    ["bytes=2-4", 206, "bytes 2-4/10", "234"],
    ["bytes=7-", 206, "bytes 7-9/10", "789"],
    ["bytes=7-99", 206, "bytes 7-9/10", "789"],
    ["bytes=-3", 206, "bytes 7-9/10", "789"],
    ["bytes=-99", 206, "bytes 0-9/10", "0123456789"],
    ["bytes=10-", 416, "bytes */10", undefined],
    ["bytes=-0", 416, "bytes */10", undefined],
    ["bytes=4-2", 200, null, "0123456789"],
    ["bytes=0-1,3-4", 200, null, "0123456789"],
    ["lines=1-2", 200, null, "0123456789"],
  ])("Range: %s", async (range, status, contentRange, text) => {
    await bucket.write("digits", sourceOf(Buffer.from("0123456789")));
    const answer = await call(server, "GET", "/digits", { headers: { range } });
    expect([answer.status, answer.headers.get("content-range")]).toEqual([status, contentRange]);
    const body = await answer.text();
    if (text !== undefined) expect(body).toBe(text);
  });

  test("conditions of reading", async () => {
    const put = await call(server, "PUT", "/versioned", { body: "0123456789" });
    const etag = put.headers.get("etag") ?? "";
    const get = async (headers: Record<string, string>) => {
      const answer = await call(server, "GET", "/versioned", { headers });
      return [answer.status, await answer.text()];
    };
    expect(await get({ "if-none-match": `"x", W/${etag}` })).toEqual([304, ""]);
    expect(await get({ "if-none-match": '"x"' })).toEqual([200, "0123456789"]);
    expect((await get({ "if-match": '"x"' }))[0]).toBe(412);
    expect((await get({ "if-match": etag }))[0]).toBe(200);
    expect(await get({ "if-range": etag, range: "bytes=8-" })).toEqual([206, "89"]);
    expect(await get({ "if-range": '"x"', range: "bytes=8-" })).toEqual([200, "0123456789"]);
  });

  test("conditional writes: one of two wins, and the other changes nothing", async () => {
    const put = (body: string, headers: Record<string, string>) =>
      call(server, "PUT", "/cas", { body, headers });
    const first = await put("one", { "if-none-match": "*" });
    expect(first.status).toBe(201);
    expect((await put("two", { "if-none-match": "*" })).status).toBe(412);
    const etag = first.headers.get("etag") ?? "";
    expect((await put("three", { "if-match": '"something else"' })).status).toBe(412);
    expect(await stored("cas")).toBe("one");
    expect((await put("four", { "if-match": etag })).status).toBe(204);
    expect((await put("five", { "if-match": etag })).status).toBe(412);
    expect(await stored("cas")).toBe("four");
    const nowhere = await call(server, "PUT", "/not-there", { body: "x", headers: { "if-match": '"e"' } });
    expect([nowhere.status, await stored("not-there")]).toEqual([412, undefined]);
    expect((await put("x", { "if-match": etag, "if-none-match": "*" })).status).toBe(400);
    expect((await put("x", { "if-match": "unquoted" })).status).toBe(400);
    expect((await put("x", { "if-none-match": etag })).status).toBe(400);
  });

  test("a body with another SHA-256 than announced is not written", async () => {
    const sha256 = createHash("sha256").update("right").digest("hex");
    const put = (body: string) =>
      call(server, "PUT", "/summed", { body, headers: { "x-odb-sha256": sha256 } });
    expect((await put("wrong")).status).toBe(422);
    expect(await stored("summed")).toBeUndefined();
    expect((await put("right")).status).toBe(204);
    const head = await call(server, "HEAD", "/summed");
    expect(head.headers.get("x-odb-sha256")).toBe((await bucket.head("summed"))?.sha256 ?? null);
    const bad = await call(server, "PUT", "/summed", { body: "x", headers: { "x-odb-sha256": "zz" } });
    expect(bad.status).toBe(400);
  });

  test("deletes, copies", async () => {
    await call(server, "PUT", "/from", { body: "copied" });
    expect((await call(server, "POST", "/?copy&from=from&to=d%2Fto")).status).toBe(204);
    expect(await stored("d/to")).toBe("copied");
    expect((await call(server, "POST", "/?copy&from=absent&to=x")).status).toBe(404);
    expect((await call(server, "POST", "/?copy&from=from&to=../x")).status).toBe(400);
    expect((await call(server, "DELETE", "/from")).status).toBe(204);
    expect((await call(server, "DELETE", "/from")).status).toBe(204);
    expect(await stored("from")).toBeUndefined();
  });

  test("lists in order, in pages", async () => {
    const keys = Array.from({ length: 25 }, (_, i) => `l/${String(i).padStart(3, "0")}`);
    for (const key of [...keys, "l/ü b", "m/x"]) await bucket.write(key, sourceOf(Buffer.from(key)));
    const seen: { key: string; size: number }[] = [];
    let after = "";
    let pages = 0;
    for (let more = true; more; pages += 1) {
      const query = new URLSearchParams({ list: "", prefix: "l/", after, limit: "10" });
      const page = await call(server, "GET", `/?${query}`);
      expect(page.headers.get("content-type")).toBe("application/x-ndjson");
      const lines = (await page.text()).split("\n").slice(0, -1);
      seen.push(...lines.map((line) => JSON.parse(line)));
      const next = page.headers.get("x-odb-next");
      more = next !== null;
      after = decodeURIComponent(next ?? "");
    }
    expect(pages).toBe(3);
    expect(seen.map(({ key }) => key)).toEqual([...keys, "l/ü b"]);
    expect(seen[0]).toMatchObject({ size: 5 });
    const etags = seen.filter((line) => "etag" in line);
    const head = await call(server, "HEAD", "/l/000");
    if (etags.length > 0) expect(etags[0]).toMatchObject({ etag: head.headers.get("etag") });
    expect((await call(server, "GET", "/?list&prefix=..%2F")).status).toBe(400);
    expect(await (await call(server, "GET", "/?list&prefix=none")).text()).toBe("");
  });

  test.each([
    "/../x",
    "/a/../../x",
    "/%2e%2e/x",
    "/a//b",
    "/a/",
    "/a%00b",
    "/a%5cb",
    "/%ff",
    "/%zz",
    `/${"k".repeat(1025)}`,
  ])("a bad key is refused: %s", async (path) => {
    const { status, text } = await raw(server, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n`);
    expect(status).toBe(400);
    expect(text).toMatch(/^[^\n]+\n$/);
  });

  test("methods that do not apply", async () => {
    for (const [method, path, allow] of [
      ["PATCH", "/key", "GET, HEAD, PUT, DELETE"],
      ["POST", "/key", "GET, HEAD, PUT, DELETE"],
      ["OPTIONS", "/key", "GET, HEAD, PUT, DELETE"],
      ["DELETE", "/", "GET, HEAD"],
      ["PUT", "/list/", "GET, HEAD"],
      ["GET", "/upload/", "POST"],
    ] as const) {
      const answer = await call(server, method, path);
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
    }
  });
});

/** Sends a request head as it stands (no client would send these) and reads the answer. */
async function raw(server: RunningServer, head: string): Promise<{ status: number; text: string }> {
  const { connect } = await import("node:net");
  const { port } = new URL(server.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(`${head}Authorization: ${authorization}\r\nConnection: close\r\n\r\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const [top = "", ...rest] = Buffer.concat(chunks).toString("latin1").split("\r\n\r\n");
  const body = rest.join("\r\n\r\n");
  return { status: Number(top.slice(9, 12)), text: body };
}
