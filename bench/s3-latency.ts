/** 2,000 blobs of 64 KiB into and out of S3 with 20 ms added latency, through one helper process. `npm run build` first. */

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
  keep("s3-latency", [line("put", put), line("get", get)].join("\n"), { COUNT, SIZE, LATENCY_MS, put, get });
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

function line(name: string, { ms, requests }: Measured): string {
  const each = ms / COUNT;
  const asked = Object.entries(requests).map(([operation, count]) => `${count} ${operation}`);
  return `${name}: ${COUNT} blobs of ${SIZE} B in ${(ms / 1000).toFixed(1)} s, ${each.toFixed(1)} ms each = ${(each / LATENCY_MS).toFixed(2)} round trips of ${LATENCY_MS} ms (${asked.join(", ")})`;
}
