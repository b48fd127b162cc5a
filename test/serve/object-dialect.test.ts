import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { hashObject, sourceOf } from "../../src/object/content.js";
import { parseObjectId } from "../../src/object/id.js";
import { type RunningServer, serveBucket } from "../../src/serve/server.js";
import { looseKey } from "../../src/store/loose-layout.js";
import { rawKey } from "../../src/store/raw-layout.js";
import { initBucket } from "../../src/store/settings.js";
import { git, gitBytes, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

let dir: string;
let bucket: Bucket;
let server: RunningServer;
const headers = { authorization: "Bearer t" };

beforeEach(async () => {
  dir = tempDir("bucket");
  bucket = fileBucket(dir);
  const credentials = [{ kind: "bearer", token: "t" }] as const;
  server = await serveBucket(bucket, { credentials, allowDelete: true });
});
afterEach(async () => {
  await server.close();
  await bucket.close();
});

const get = (query = "", method = "GET") => fetch(`${server.url}/list/${query}`, { method, headers });

async function upload(query: Record<string, string | number>, body?: Buffer | string) {
  const text = Object.entries(query)
    .map(([key, value]) => `${key}=${value}`)
    .join("&");
  return fetch(`${server.url}/upload/?${text}`, { method: "POST", headers, ...(body && { body }) });
}

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of bucket.list("")) found.push(key);
  return found;
}

test("what git hashed is uploaded, listed, read and deleted", async () => {
  const repo = tempRepo();
  const bytes = randomBytes(2_500_000);
  const oid = git(["hash-object", "-w", "--stdin"], { cwd: repo, input: bytes });
  expect([(await get()).status, await (await get()).text()]).toEqual([200, ""]);
  const done = await upload({ sha1: oid, size: bytes.length, type: "blob" }, bytes);
  expect([done.status, done.headers.get("x-odb-verified")]).toEqual([201, oid]);
  expect(await (await get()).text()).toBe(`${oid} ${bytes.length} blob\n`);
  const got = await get(`?sha1=${oid}`);
  expect(got.headers.get("x-odb-type")).toBe("blob");
  expect(
    gitBytes(["cat-file", "blob", oid], { cwd: repo }).equals(Buffer.from(await got.arrayBuffer())),
  ).toBe(true);
  const head = await get(`?sha1=${oid}`, "HEAD");
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(bytes.length)]);
  expect((await upload({ sha1: oid, size: bytes.length, type: "blob", delete: 1 })).status).toBe(204);
  expect((await get(`?sha1=${oid}`)).status).toBe(404);
  expect((await get(`?sha1=${oid}`, "HEAD")).status).toBe(404);
  expect(await keys()).toEqual([]);
});

test.each([
  ["another id", { sha1: "1".repeat(40), size: 5, type: "blob" }, 422],
  ["a smaller size", { size: 4, type: "blob" }, 422],
  ["a larger size", { size: 6, type: "blob" }, 422],
  ["another type", { size: 5, type: "commit" }, 422],
  ["an unknown type", { size: 5, type: "blub" }, 400],
  ["a bad size", { size: "05", type: "blob" }, 400],
  ["a bad id", { sha1: "A".repeat(40), size: 5, type: "blob" }, 400],
  ["no size", { type: "blob" }, 400],
])("an upload with %s is refused and stores nothing", async (_, query, status) => {
  const right = { sha1: hashObject("blob", Buffer.from("12345")) };
  const answer = await upload({ ...right, ...query } as Record<string, string>, "12345");
  expect(answer.status).toBe(status);
  expect(await answer.text()).toMatch(/^[^\n]+\n$/);
  expect(await keys()).toEqual([]);
});

test("a chunked upload is taken for what it hashes to", async () => {
  const bytes = Buffer.from("sent in chunks");
  const oid = hashObject("blob", bytes);
  const send = (text: string) =>
    fetch(`${server.url}/upload/?sha1=${oid}&size=14&type=blob`, {
      method: "POST",
      headers,
      body: new Blob([text]).stream(),
      duplex: "half",
    } as RequestInit);
  expect((await send("sent in chunkz")).status).toBe(422);
  expect((await send("sent in chunks")).status).toBe(201);
  expect(await (await get(`?sha1=${oid}`)).text()).toBe("sent in chunks");
});

test("an object whose bytes went bad is never whole on the wire, and fails its check", async () => {
  for (const size of [5, 3_000_000]) {
    const bytes = randomBytes(size);
    const oid = hashObject("blob", bytes);
    await upload({ sha1: oid, size, type: "blob" }, bytes);
    expect((await get(`?sha1=${oid}&verify=1`, "HEAD")).headers.get("x-odb-verified")).toBe(oid);
    bytes[size - 1] = (bytes[size - 1] ?? 0) ^ 1;
    await bucket.write(rawKey(oid), sourceOf(bytes));
    expect((await get(`?sha1=${oid}&verify=1`, "HEAD")).status).toBe(422);
    const read = get(`?sha1=${oid}`).then(async (answer) => {
      const body = await answer.arrayBuffer();
      return `${answer.status} ${body.byteLength}`;
    });
    if (size === 5) expect(await read).toMatch(/^422 /);
    else await expect(read).rejects.toThrow();
  }
});

test("the layout is the bucket's: raw refuses a tree, loose takes it, a change is seen", async () => {
  const repo = tempRepo();
  const oid = git(["write-tree"], { cwd: repo });
  expect((await upload({ sha1: oid, size: 0, type: "tree" })).status).toBe(501);
  const settings = { layout: "loose", hash: "sha1", kind: "store" } as const;
  const other = fileBucket(tempDir("other"));
  await initBucket(other, settings);
  const text = await fetch(`${server.url}/git-odb.json`, {
    method: "PUT",
    headers,
    body: JSON.stringify({ version: 1, ...settings }),
  });
  expect(text.status).toBe(204);
  expect((await upload({ sha1: oid, size: 0, type: "tree" })).status).toBe(201);
  expect(await (await get()).text()).toBe(`${oid} 0 tree\n`);
  expect((await upload({ sha1: oid, size: 0, type: "tree", delete: 1 })).status).toBe(204);
  expect(await (await get()).text()).toBe("");
});

test("a packed object is served, and cannot be deleted out of its pack", async () => {
  const repo = tempRepo();
  const blob = git(["hash-object", "-w", "--stdin"], { cwd: repo, input: "packed\n" });
  git(["update-ref", "refs/tags/t", blob], { cwd: repo });
  git(["repack", "-adq"], { cwd: repo });
  git(["clone", "-q", "--bare", repo, join(dir, "x")]);
  await using own = await serveBucket(fileBucket(join(dir, "x")), {
    credentials: [{ kind: "bearer", token: "t" }],
    allowDelete: true,
  });
  const got = await fetch(`${own.url}/list/?sha1=${blob}`, { headers });
  expect(await got.text()).toBe("packed\n");
  const gone = await fetch(`${own.url}/upload/?sha1=${blob}&size=7&type=blob&delete=1`, {
    method: "POST",
    headers,
  });
  expect([gone.status, await gone.text()]).toEqual([409, `object ${blob} lies in a pack and stays\n`]);
});

test("an object that is no loose object any more is left out of the listing, and refused", async () => {
  const settings = { version: 1, layout: "loose", hash: "sha1", kind: "store" };
  await fetch(`${server.url}/git-odb.json`, { method: "PUT", headers, body: JSON.stringify(settings) });
  const [good, bad] = ["good", "bad"].map((text) => hashObject("blob", Buffer.from(text)));
  await upload({ sha1: String(good), size: 4, type: "blob" }, "good");
  await upload({ sha1: String(bad), size: 3, type: "blob" }, "bad");
  await bucket.write(looseKey(parseObjectId(String(bad))), sourceOf(Buffer.from("rubbish")));
  expect(await (await get()).text()).toBe(`${good} 4 blob\n`);
  expect((await get(`?sha1=${bad}`)).status).toBe(422);
  expect((await get(`?sha1=${bad}&verify=1`, "HEAD")).status).toBe(422);
});

test("ids that are none are refused", async () => {
  for (const query of ["?sha1=", "?sha1=xyz", `?sha1=${"a".repeat(39)}`, `?sha1=../${"a".repeat(37)}`]) {
    expect((await get(query)).status).toBe(400);
  }
  expect((await get(`?sha1=${parseObjectId("a".repeat(64))}`)).status).toBe(404);
});

test("each folder is a store of its own, in the layout that it says", async () => {
  const at = (folder: string, query = "", method = "GET", body?: Buffer) =>
    fetch(`${server.url}/${folder}/${query}`, { method, headers, ...(body && { body }) });
  const [here, there, loose] = ["here", "there", "loose"].map((text) => Buffer.from(text)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const put = async (folder: string, bytes: Buffer) => {
    const query = `upload/?sha1=${hashObject("blob", bytes)}&size=${bytes.length}&type=blob`;
    return (await at(folder, query, "POST", bytes)).status;
  };
  const line = (bytes: Buffer) => `${hashObject("blob", bytes)} ${bytes.length} blob\n`;
  expect([await put("a", here), await put("a/b%20c", there)]).toEqual([201, 201]);
  expect(await (await at("a", "list/")).text()).toBe(line(here));
  expect(await (await at("a/b%20c", "list/")).text()).toBe(line(there));
  expect(await (await get()).text()).toBe("");
  expect((await at("a", `list/?sha1=${hashObject("blob", there)}`)).status).toBe(404);
  expect(await keys()).toEqual([
    `a/b c/${rawKey(hashObject("blob", there))}`,
    `a/${rawKey(hashObject("blob", here))}`,
  ]);
  // What says the layout has changed: the next object lies otherwise.
  const settings = Buffer.from('{"version":1,"layout":"loose","hash":"sha1","kind":"store"}');
  expect((await at("a", "git-odb.json", "PUT", settings)).status).toBe(204);
  expect(await put("a", loose)).toBe(201);
  expect(await keys()).toContain(`a/${looseKey(hashObject("blob", loose))}`);
  expect(await (await at("a", "list/")).text()).toBe(line(loose));
  const remove = `upload/?sha1=${hashObject("blob", loose)}&size=5&type=blob&delete=1`;
  expect((await at("a", remove, "POST")).status).toBe(204);
  expect(await (await at("a", "list/")).text()).toBe("");
  // A folder of that name is one of the bucket dialect, and none leads out of the bucket.
  const listed = await at("a", "list/?list");
  expect([listed.status, listed.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  for (const folder of ["a//b", "a%2F..%2Fb", "%zz"]) {
    expect((await at(folder, "list/")).status).toBe(400);
  }
});
