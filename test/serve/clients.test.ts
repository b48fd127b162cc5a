/** Clients as they are: slow, gone in the middle, refused while they send; and the end of the server. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { sourceOf } from "../../src/object/content.js";
import {
  type RequestLog,
  type RunningServer,
  type ServeOptions,
  serveBucket,
} from "../../src/serve/server.js";
import { tempDir } from "../support/temp.js";

let bucket: Bucket;
let server: RunningServer;
let log: RequestLog[];

async function start(options: ServeOptions = {}) {
  log = [];
  server = await serveBucket(bucket, { ...options, log: (line) => void log.push(line) });
}

beforeEach(async () => {
  bucket = fileBucket(tempDir("bucket"));
  await start();
});
afterEach(async () => {
  await server.close();
  await bucket.close();
});

async function dial(...lines: string[]): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  await once(socket, "connect");
  if (lines.length > 0) socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  return socket;
}

/** Everything until the server ends the connection. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}

/** The answer's head, once it is there; the connection stays open. */
async function readHead(socket: Socket): Promise<string> {
  let text = "";
  while (!text.includes("\r\n\r\n")) text += String((await once(socket, "data"))[0]);
  return text;
}

async function logged(): Promise<RequestLog> {
  for (;;) {
    const line = log[0];
    if (line) return line;
    await new Promise((done) => setTimeout(done, 5));
  }
}

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of bucket.list("")) found.push(key);
  return found;
}

describe("uploads", () => {
  test("that end early write nothing", async () => {
    const socket = await dial("PUT /key HTTP/1.1", "Host: localhost", "Content-Length: 3000000");
    socket.write(Buffer.alloc(2_000_000));
    socket.end();
    await readAll(socket).catch(() => {});
    expect((await logged()).error?.code).toBe("aborted");
    expect(await keys()).toEqual([]);
  });

  test("that are reset write nothing", async () => {
    const socket = await dial("PUT /key HTTP/1.1", "Host: localhost", "Content-Length: 3000000");
    await new Promise((done) => socket.write(Buffer.alloc(2_000_000), done));
    socket.resetAndDestroy();
    expect((await logged()).error?.code).toBe("aborted");
    expect(await keys()).toEqual([]);
  });

  test("that stall lose their connection", async () => {
    await server.close();
    await start({ idleMs: 50 });
    const socket = await dial("PUT /key HTTP/1.1", "Host: localhost", "Content-Length: 10");
    socket.write("12345");
    expect(await readHead(socket)).toMatch(/^HTTP\/1.1 408 /);
    socket.destroy();
    expect(await keys()).toEqual([]);
  });

  test("without Content-Length, with an encoding or too large are refused", async () => {
    await server.close();
    await start({ maxSize: 10 });
    const put = async (...lines: string[]) => {
      const socket = await dial("PUT /key HTTP/1.1", "Host: localhost", "Connection: close", ...lines);
      return (await readAll(socket)).slice(9, 12);
    };
    expect(await put("Transfer-Encoding: chunked", "", "0")).toBe("411");
    expect(await put("Content-Length: 0", "Content-Encoding: gzip")).toBe("400");
    expect(await put("Content-Length: 0", "Content-Range: bytes 0-1/2")).toBe("400");
    expect(await put("Content-Length: 11", "", "01234567890")).toBe("413");
    expect(await put("Content-Length: nonsense")).toBe("400");
    expect(await keys()).toEqual([]);
  });

  test("are told to go on only when their body is wanted", async () => {
    await server.close();
    await start({ readOnly: true });
    const expecting = ["Host: localhost", "Content-Length: 3", "Expect: 100-continue"];
    const refused = await dial("PUT /key HTTP/1.1", ...expecting);
    expect(await readHead(refused)).toMatch(/^HTTP\/1.1 403 /);
    refused.destroy();
    await server.close();
    await start();
    const wanted = await dial("PUT /key HTTP/1.1", ...expecting);
    expect(await readHead(wanted)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    wanted.write("abc");
    expect(await readHead(wanted)).toMatch(/^HTTP\/1.1 204 /);
    wanted.destroy();
    expect(await keys()).toEqual(["key"]);
  });

  test("that are refused can read why although they sent a lot", async () => {
    await server.close();
    await start({ readOnly: true });
    const answer = await fetch(`${server.url}/key`, { method: "PUT", body: Buffer.alloc(5_000_000) });
    expect(answer.status).toBe(403);
  });
});

test("a client that asks for leave and sends without it can still read the refusal", async () => {
  await server.close();
  await start({ readOnly: true });
  for (let i = 0; i < 10; i++) {
    const length = "Content-Length: 5000000";
    const socket = await dial("PUT /key HTTP/1.1", "Host: localhost", "Expect: 100-continue", length);
    socket.write(Buffer.alloc(5_000_000));
    socket.write("GET /absent HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const answers = (await readAll(socket)).match(/HTTP\/1.1 \d+/g);
    expect(answers).toEqual(["HTTP/1.1 403", "HTTP/1.1 404"]);
  }
});

describe("readers", () => {
  beforeEach(async () => {
    await bucket.write("large", sourceOf(Buffer.alloc(30_000_000, "x")));
  });

  test("that do not read lose their connection and hold nothing open", async () => {
    await server.close();
    await start({ idleMs: 50 });
    const socket = await dial("GET /large HTTP/1.1", "Host: localhost");
    socket.pause();
    expect((await logged()).error?.message).toBe("the client stalled");
    socket.destroy();
  });

  test("that go away stop the reading", async () => {
    const socket = await dial("GET /large HTTP/1.1", "Host: localhost");
    await readHead(socket);
    socket.destroy();
    expect((await logged()).error?.code).toBe("aborted");
  });

  test("HEAD of something large sends no body and keeps the connection", async () => {
    const socket = await dial("HEAD /large HTTP/1.1", "Host: localhost");
    const head = await readHead(socket);
    expect(head).toMatch(/content-length: 30000000/i);
    expect(head.endsWith("\r\n\r\n")).toBe(true);
    socket.write("GET /absent HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 404 /);
  });

  test("a body that turns out short ends the connection before its length", async () => {
    bucket.read = async (key) => ({
      entry: { key, size: 10 },
      content: (async function* () {
        yield Buffer.from("01234");
        yield Buffer.from("567");
        throw new Error("lost the rest");
      })(),
    });
    const socket = await dial("GET /large HTTP/1.1", "Host: localhost");
    const text = await readAll(socket).catch(() => "reset");
    expect(text).not.toContain("567");
    expect((await logged()).error?.message).toBe("lost the rest");
  });

  test("a failure before the first byte is answered", async () => {
    bucket.read = async (key) => ({
      entry: { key, size: 10 },
      // biome-ignore lint/correctness/useYield: it fails before it has anything to yield
      content: (async function* () {
        throw new Error("disk on fire");
      })(),
    });
    const answer = await fetch(`${server.url}/large`);
    expect([answer.status, await answer.text()]).toEqual([500, "GET /large: failure of the server\n"]);
  });
});

describe("limits and the end", () => {
  test("headers are bounded", async () => {
    const socket = await dial("GET /key HTTP/1.1", "Host: localhost", `X-Long: ${"x".repeat(70_000)}`);
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 431 /);
  });

  test("close lets a running request end and cuts what does not", async () => {
    await server.close();
    await start({ graceMs: 100 });
    const running = await dial("PUT /key HTTP/1.1", "Host: localhost", "Content-Length: 3");
    const stuck = await dial("PUT /stuck HTTP/1.1", "Host: localhost", "Content-Length: 3");
    const idle = await dial();
    await fetch(`${server.url}/absent`);
    const ended = [running, stuck, idle].map((socket) => once(socket, "close"));
    for (const socket of [stuck, idle]) socket.on("error", () => {});
    const closing = server.close();
    running.write("abc");
    expect(await readHead(running)).toMatch(/^HTTP\/1.1 204 /);
    await closing;
    await Promise.all(ended);
    expect(await keys()).toEqual(["key"]);
    await expect(fetch(`${server.url}/key`)).rejects.toThrow();
  });

  test("an address that is taken is named", async () => {
    const port = Number(new URL(server.url).port);
    await expect(serveBucket(bucket, { port })).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(`cannot listen on 127.0.0.1:${port}`),
    });
  });
});
