import { writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { httpBucket } from "../../src/bucket/http.js";
import { openBucket } from "../../src/bucket/open.js";
import { withRetry } from "../../src/bucket/retry.js";
import { collect, sourceOf } from "../../src/object/content.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

const text = (value: string) => sourceOf(Buffer.from(value));

/** A real server that answers as told. @returns its URL */
async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function readText(bucket: ReturnType<typeof httpBucket>, key: string) {
  const body = await bucket.read(key);
  return body && (await collect(body.content, 1 << 20)).toString();
}

describe("http bucket", () => {
  it("keeps the connection when the answer comes with the last byte, before the source has ended", async () => {
    const ports = new Set<number | undefined>();
    // Time for what has arrived to be seen.
    const pause = () => new Promise((soon) => setTimeout(soon, 20));
    let answered = () => {};
    const isAnswered = new Promise<void>((done) => {
      answered = done;
    });
    const url = await listen((request, response) => {
      ports.add(request.socket.remotePort);
      // Not at the end of the request, which the client marks later than it sends the last byte.
      request.once("data", () => response.writeHead(204).end(answered));
      if (request.method === "HEAD") response.end();
    });
    const bucket = httpBucket(url);
    const source = {
      size: 4,
      async *open() {
        yield Buffer.from("body");
        await isAnswered;
        await pause();
      },
    };
    await bucket.write("a", source);
    await pause();
    await bucket.write("b", text("more"));
    expect(ports.size).toBe(1);
    await bucket.close();
  });

  it.each([false, true])(
    "reads a plain web server, ranges ignored: %s; cannot list or write",
    async (noRanges) => {
      const dir = tempDir("static");
      writeFileSync(join(dir, "a"), "0123456789");
      await using server = await startStaticServer(dir, { noRanges });
      const bucket = await openBucket(server.url, { retry: false });
      expect(await bucket.head("a")).toMatchObject({ size: 10 });
      expect(await bucket.head("none")).toBeUndefined();
      const body = await bucket.read("a", { range: { start: 2, end: 5 } });
      expect(body && (await collect(body.content, 10)).toString()).toBe("234");
      expect(await bucket.conditionalWrites()).toBe(false);
      const unsupported = { code: "unsupported" };
      await expect(bucket.write("b", text("x"))).rejects.toMatchObject(unsupported);
      await expect(bucket.write("b", text("x"), { ifAbsent: true })).rejects.toMatchObject(unsupported);
      await expect(bucket.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(unsupported);
      await bucket.close();
    },
  );

  it("asks once for credentials, approves or rejects them, and shows them to no other server", async () => {
    const seen: (string | undefined)[] = [];
    const elsewhere = await listen((request, response) => {
      seen.push(request.headers.authorization);
      response.end("moved");
    });
    const right = `Basic ${btoa("me:secret")}`;
    const url = await listen((request, response) => {
      if (request.headers.authorization !== right) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      } else if (request.url === "/moved") response.writeHead(302, { location: `${elsewhere}/x` }).end();
      else response.end("here");
    });
    const calls: string[] = [];
    const provider = (password: string) => ({
      fill: async () => {
        calls.push("fill");
        return { username: "me", password };
      },
      approve: async () => void calls.push("approve"),
      reject: async () => void calls.push("reject"),
    });
    const bucket = httpBucket(url, { credentials: provider("secret") });
    expect(await Promise.all([readText(bucket, "a"), readText(bucket, "b")])).toEqual(["here", "here"]);
    expect(await readText(bucket, "moved")).toBe("moved");
    expect(seen).toEqual([undefined]);
    expect(calls).toEqual(["fill", "approve"]);
    await bucket.close();

    calls.length = 0;
    const wrong = httpBucket(url, { credentials: provider("not-it") });
    for (const _ of [1, 2]) {
      const error = await wrong.head("a").catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ code: "denied" });
      expect(String(error)).not.toContain("not-it");
    }
    expect(calls).toEqual(["fill", "reject"]);
    await wrong.close();
  });

  it("follows a bounded number of redirects, and never with a write to another server", async () => {
    const url = await listen((request, response) => {
      const location = request.method === "PUT" ? "http://localhost:1/x" : "/again";
      response.writeHead(307, { location }).end();
    });
    const bucket = httpBucket(url);
    await expect(bucket.head("a")).rejects.toThrow(/more than 5 redirects/);
    await expect(bucket.write("a", text("x"))).rejects.toMatchObject({ code: "unsupported" });
    await bucket.close();
  });

  it("calls a cut body integrity, and resumes it by range of the same version only", async () => {
    const bytes = Buffer.alloc(300_000, "0123456789");
    let version = 1;
    const ranges: (string | undefined)[] = [];
    const url = await listen((request, response) => {
      ranges.push(request.headers.range);
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      if (request.url === "/changing") version++;
      response.writeHead(start ? 206 : 200, {
        etag: `"${version}"`,
        "content-length": bytes.length - start,
        ...(start && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
      });
      response.write(bytes.subarray(start, start + 120_000), () => {
        if (start + 120_000 < bytes.length) response.destroy();
        else response.end();
      });
    });
    const bucket = httpBucket(url);
    await expect(readText(bucket, "a")).rejects.toMatchObject({ code: "integrity" });
    ranges.length = 0;
    const patient = withRetry(bucket, { baseMs: 1 });
    expect((await readText(patient, "a")) === bytes.toString()).toBe(true);
    expect(ranges.length).toBeGreaterThan(2);
    await expect(readText(patient, "changing")).rejects.toMatchObject({ code: "integrity" });
    await bucket.close();
  });

  it("tells passing failures from others, waits as asked, and not for ever", async () => {
    let asked = 0;
    const url = await listen((request, response) => {
      asked++;
      if (request.url === "/silent") return;
      const status = Number(request.url?.slice(1, 4));
      if (status === 503 && asked > 2) response.end("at last");
      else response.writeHead(status, { "retry-after": request.url?.slice(5) ?? "0" }).end();
    });
    const bucket = httpBucket(url, { idleMs: 50 });
    await expect(bucket.read("503-7")).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 7000 });
    await expect(bucket.read("silent")).rejects.toMatchObject({ code: "unavailable" });
    await expect(bucket.read("403-0")).rejects.toMatchObject({ code: "denied" });
    asked = 0;
    const patient = withRetry(bucket, { baseMs: 1, maxMs: 5000 });
    expect(await readText(patient, "503-0")).toBe("at last");
    expect(asked).toBe(3);
    asked = 0;
    await expect(patient.read("429-9")).rejects.toMatchObject({ retryAfterMs: 9000 });
    await expect(patient.head("403-0")).rejects.toMatchObject({ code: "denied" });
    expect(asked).toBe(2);
    asked = 0;
    await expect(withRetry(bucket, { baseMs: 1, withinMs: 1 }).head("silent")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("was silent for 0.05 s"),
    });
    // No new try later than that after the first failure.
    expect(asked).toBe(2);
    await bucket.close();
  });
});
