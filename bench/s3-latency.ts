/**
 * 2,000 blobs of 64 KiB into and out of S3 with 20 ms added latency, through one helper process: the requests an object
 * takes, and its time beside that of a bare request to the same server. `npm run build` first.
 */

import { Agent, get as httpGet } from "node:http";
import type { ObjectId } from "../src/object/id.js";
import { startS3 } from "../test/support/s3/index.js";
import { keep } from "./support.js";
import { benchOdb, putBlobs } from "./support-odb.js";

const COUNT = Number(process.argv[2] ?? 2000);
const SIZE = 64 * 1024;
const LATENCY_MS = 20;

const oids: ObjectId[] = [];
const server = await startS3({ faults: { latencyMs: LATENCY_MS } });
const odb = benchOdb("s3", server.url("latency"), server.env);
try {
  const bare = await bareRoundTrip(new URL(server.url("latency")).searchParams.get("endpoint") ?? "");
  const put = await session(async (client) => {
    oids.push(...(await putBlobs(client, COUNT, SIZE)));
  });
  const get = await session(async (client) => {
    for (const oid of oids) {
      const object = await client.getGitObject(oid);
      if (object === undefined) throw new Error(`${oid} is not there`);
      for await (const _ of object);
    }
  });
  const text = [
    `a bare request: ${bare.toFixed(1)} ms`,
    line("put", put, bare),
    line("get", get, bare),
    verdict("put", put),
    verdict("get", get),
  ];
  keep("s3-latency", text.join("\n"), { COUNT, SIZE, LATENCY_MS, bare, put, get });
} finally {
  await server.close();
  odb.remove();
}

interface Measured {
  readonly ms: number;
  readonly requests: Record<string, number>;
}

/** Runs one session from start to EOF, and counts what it asked of the server. */
async function session(
  work: (client: Awaited<ReturnType<typeof odb.connect>>) => Promise<void>,
): Promise<Measured> {
  await server.takeRequests();
  const start = performance.now();
  const client = await odb.connect();
  await work(client);
  await client.close();
  const ms = performance.now() - start;
  const requests: Record<string, number> = {};
  for (const { operation } of await server.takeRequests())
    requests[operation] = (requests[operation] ?? 0) + 1;
  return { ms, requests };
}

/** Milliseconds of a request that is refused at once, on a connection that stays open: the mean of 100. */
async function bareRoundTrip(endpoint: string): Promise<number> {
  const agent = new Agent({ keepAlive: true });
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      httpGet(endpoint, { agent }, (answer) => answer.resume().on("end", resolve)).on("error", reject);
    });
  await ask();
  const start = performance.now();
  for (let n = 0; n < 100; n++) await ask();
  const ms = (performance.now() - start) / 100;
  agent.destroy();
  return ms;
}

function line(name: string, { ms, requests }: Measured, bare: number): string {
  const each = ms / COUNT;
  const asked = Object.entries(requests).map(([operation, count]) => `${count} ${operation}`);
  return `${name}: ${COUNT} blobs of ${SIZE} B in ${(ms / 1000).toFixed(1)} s, ${each.toFixed(1)} ms each = ${(each / bare).toFixed(2)} bare requests (${asked.join(", ")})`;
}

/** Opening the store costs a few requests more, once. */
function verdict(name: string, { requests }: Measured): string {
  const each = Object.values(requests).reduce((sum, count) => sum + count, 0) / COUNT;
  return `${name}: ${each.toFixed(3)} requests an object (at most 1, and 5 for opening): ${each <= 1 + 5 / COUNT ? "kept" : "MISSED"}`;
}
