import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { httpBucket } from "../../src/bucket/http.js";
import { httpClient } from "../../src/bucket/http-client.js";
import { storeCases } from "../../src/conformance/store-cases.js";
import { type StoreSubject, sample, storeAbilities } from "../../src/conformance/store-subject.js";
import { collect, contentOf, sourceOf } from "../../src/object/content.js";
import type { ObjectId } from "../../src/object/id.js";
import { asRaw } from "../../src/store/encoding.js";
import { listUploadStore } from "../../src/store/list-upload.js";
import { looseKey } from "../../src/store/loose-layout.js";
import { openStore } from "../../src/store/open.js";
import { rawKey } from "../../src/store/raw-layout.js";
import { type BucketSettings, initBucket } from "../../src/store/settings.js";
import { putContent } from "../../src/store/stage.js";
import { startCgiServer } from "../support/cgi-server.js";
import { startFaultyProxy } from "../support/faulty-proxy.js";
import { startServeProcess } from "../support/serve-process.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

const open = (url: string) => listUploadStore(httpClient(new URL(`${url}/`)), new URL(`${url}/`));

interface Running {
  readonly subject: StoreSubject;
  close(): Promise<void>;
}

/** Our own server in another process, over a bucket in this layout; a second one refuses whoever comes. */
async function ours(where: string, layout: BucketSettings["layout"]): Promise<Running> {
  const server = await startServeProcess(where);
  const credentials = [{ kind: "bearer", token: "unknown to the client" }] as const;
  const closed = await startServeProcess(where, { credentials });
  const bucket = httpBucket(server.url);
  await initBucket(bucket, { layout, hash: "sha1", kind: "store" });
  const key = layout === "raw" ? rawKey : looseKey;
  const corrupt = async (oid: ObjectId) => {
    const body = await bucket.read(key(oid));
    const bytes = await collect(body?.content ?? contentOf(), 64 << 20);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await bucket.write(key(oid), sourceOf(bytes));
  };
  return {
    subject: {
      store: open(server.url),
      can: [layout === "raw" ? "blobs" : "types"],
      corrupt,
      denied: async () => open(closed.url),
    },
    close: async () => void (await Promise.all([bucket.close(), server.close(), closed.close()])),
  };
}

async function original(options: { noHead?: boolean }): Promise<Running> {
  const dir = tempDir("cgi");
  const server = await startCgiServer(dir, options);
  const closed = await startCgiServer(dir, { denied: true });
  return {
    subject: {
      store: open(server.url),
      can: ["types", "sha256"],
      corrupt: async (oid) => server.corrupt(oid),
      denied: async () => open(closed.url),
    },
    close: async () => void (await Promise.all([server.close(), closed.close()])),
  };
}

describe.each<[string, () => Promise<Running>]>([
  ["our server, raw layout", () => ours("memory:", "raw")],
  ["our server, loose layout", () => ours(tempDir("served"), "loose")],
  ["the original's shape", () => original({})],
  ["the original's shape, without HEAD", () => original({ noHead: true })],
])("the contract of a store on %s", (title, start) => {
  let running: Running;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(async () => {
    await running.subject.store.close();
    await running.close();
  });
  for (const one of storeCases) {
    // Large objects and long listings differ by server, not by layout.
    if (/MiB|1000/.test(one.name) && !/raw layout|shape$/.test(title)) continue;
    it(one.name, async (context) => {
      if (one.name === "source-fails-midway" && title.startsWith("the original")) {
        context.skip("the original keeps the part of an upload that broke: see below");
      }
      const abilities = storeAbilities(running.subject);
      const missing = (one.needs ?? []).filter((need) => !abilities.includes(need));
      if (missing.length > 0) context.skip(`needs ${missing}`);
      await one.run(running.subject);
    });
  }
});

test("an original server that keeps other bytes is not believed", async () => {
  const dir = tempDir("cgi");
  await using server = await startCgiServer(dir);
  await using proxy = await startFaultyProxy(server.url);
  const store = open(proxy.url);
  for (const size of [100, 600_000]) {
    const { info, bytes } = sample(size);
    proxy.add({ method: "POST", fault: { kind: "corrupt-upload", at: 50 } });
    await expect(putContent(store, info, contentOf(bytes))).rejects.toMatchObject({
      code: "integrity",
    });
    await expect(store.verify(info.oid)).rejects.toMatchObject({ code: "integrity" });
    await putContent(store, info, sourceOf(bytes).open());
    const stored = await store.get(info.oid);
    expect(stored && bytes.equals(await collect(asRaw(stored), size))).toBe(true);
  }
  await store.close();
});

test("an upload to an original server that breaks touches no good copy, and the next one mends what it left", async () => {
  const dir = tempDir("cgi");
  await using server = await startCgiServer(dir);
  await using proxy = await startFaultyProxy(server.url);
  const store = open(proxy.url);
  for (const size of [100_000, 600_000]) {
    const { info, bytes } = sample(size);
    proxy.add({ method: "POST", fault: { kind: "reset-upload", afterBytes: 50_000 } });
    const put = () => putContent(store, info, sourceOf(bytes).open());
    await expect(put()).rejects.toMatchObject({ code: "unavailable" });
    await put();
    expect(await store.verify(info.oid)).toEqual(info);
    // Were it sent again, this would cut the good copy short.
    proxy.add({
      method: "POST",
      path: new RegExp(info.oid),
      fault: { kind: "reset-upload", afterBytes: 50_000 },
    });
    await put();
    expect(await store.verify(info.oid)).toEqual(info);
    proxy.clear();
  }
  await store.close();
});

test("our own server is believed: no read-back; wrong bytes on the way are refused by it", async () => {
  const dir = tempDir("served");
  await using server = await startServeProcess(dir);
  await using proxy = await startFaultyProxy(server.url);
  const store = open(proxy.url);
  const { info, bytes } = sample(100);
  proxy.add({ method: "POST", fault: { kind: "corrupt-upload" } });
  await expect(putContent(store, info, sourceOf(bytes).open())).rejects.toMatchObject({ code: "integrity" });
  expect(existsSync(join(dir, "objects"))).toBe(false);
  await putContent(store, info, sourceOf(bytes).open());
  await putContent(store, info, sourceOf(bytes).open());
  expect(await store.verify(info.oid)).toEqual(info);
  expect(proxy.seen.map(({ method }) => method)).toEqual(["HEAD", "POST", "POST", "POST", "HEAD"]);
  await store.close();
});

test("faults of the network are failures, never an absent or a shorter object", async () => {
  await using server = await startServeProcess(tempDir("served"));
  await using proxy = await startFaultyProxy(server.url);
  const store = open(proxy.url);
  const { info, bytes } = sample(300_000);
  await putContent(store, info, sourceOf(bytes).open());
  const read = async () => {
    const stored = await store.get(info.oid);
    return stored && (await collect(asRaw(stored), 300_000)).length;
  };
  for (const [fault, code] of [
    [{ kind: "status", status: 503, headers: { "retry-after": "3" } }, "unavailable"],
    [{ kind: "status", status: 403 }, "denied"],
    [{ kind: "reset" }, "unavailable"],
    [{ kind: "truncate", afterBytes: 70_000 }, "integrity"],
    [{ kind: "short", afterBytes: 70_000 }, "integrity"],
    [{ kind: "corrupt", at: 200_000 }, "integrity"],
  ] as const) {
    proxy.add({ method: "GET", fault });
    await expect(read(), fault.kind).rejects.toMatchObject({ code });
  }
  proxy.add({ method: "HEAD", fault: { kind: "status", status: 503, headers: { "retry-after": "3" } } });
  await expect(store.stat(info.oid)).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 3000 });
  expect(await read()).toBe(300_000);
  await store.close();
});

test("what is no list/upload server says so", async () => {
  await using server = await startServeProcess(tempDir("served"));
  await using proxy = await startFaultyProxy(server.url);
  const store = open(proxy.url);
  const page = { kind: "status", status: 200, body: "<html><body>It works!</body></html>\n" } as const;
  proxy.add({ path: /^\/list\//, fault: page });
  await expect(store.list()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: "protocol",
    message: expect.stringContaining(`${proxy.url}/list/`),
  });
  await using plain = await startStaticServer(tempDir("plain"));
  const elsewhere = open(plain.url);
  const { info, bytes } = sample(10);
  const put = putContent(elsewhere, info, sourceOf(bytes).open());
  await expect(put).rejects.toMatchObject({
    code: expect.stringMatching(/^(?:config|unsupported|invalid)$/),
  });
  await store.close();
  await elsewhere.close();
});

test("a folder of a server of ours is a store of its own", async () => {
  await using server = await startServeProcess(tempDir("served"));
  const [one, other] = [open(`${server.url}/media/one`), open(`${server.url}/media/other`)];
  const { info, bytes } = sample(10);
  await putContent(one, info, sourceOf(bytes).open());
  expect(await one.verify(info.oid)).toEqual(info);
  expect(await other.stat(info.oid)).toBeUndefined();
  await one.close();
  await other.close();
});

test("a URL with layout=list opens it, with credentials and retries", async () => {
  const credential = { username: "alice", password: "pw" };
  const credentials = [{ kind: "basic", ...credential }] as const;
  await using server = await startServeProcess("memory:", { credentials });
  await using proxy = await startFaultyProxy(server.url);
  const provider = { fill: async () => credential, approve: async () => {}, reject: async () => {} };
  const store = await openStore(`${proxy.url}?layout=list`, {
    credentials: provider,
    retry: { baseMs: 1 },
  });
  const { info, bytes } = sample(700_000);
  proxy.add({ method: "POST", fault: { kind: "lose-answer" } });
  proxy.add({ method: "POST", nth: 2, fault: { kind: "reset-upload", afterBytes: 1000 } });
  await putContent(store, info, contentOf(bytes));
  for (const method of ["HEAD", "GET"]) {
    proxy.add({ method, times: 2, fault: { kind: "status", status: 503 } });
  }
  expect(await store.stat(info.oid)).toEqual(info);
  const stored = await store.get(info.oid);
  expect(stored && bytes.equals(await collect(asRaw(stored), info.size))).toBe(true);
  proxy.add({ method: "GET", fault: { kind: "reset" } });
  const listed: unknown[] = [];
  for await (const one of store.list()) listed.push(one);
  expect(listed).toEqual([info]);
  await store.close();
  await expect(openStore("/tmp/x?layout=list")).rejects.toMatchObject({ code: "invalid" });
});
