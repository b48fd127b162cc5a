/** The process of `serve-process.ts`: serves a bucket as its parent's first message says, and ends with its parent. */

import { fileBucket } from "../../src/bucket/file.js";
import { memoryBucket } from "../../src/bucket/memory.js";
import { type RequestLog, type ServeOptions, serveBucket } from "../../src/serve/server.js";

/** What the parent says: first how to serve, then that the log so far is wanted. */
export type Order = { serve: string; options: Omit<ServeOptions, "log"> } | "log";

/** The answers, in the order of the orders. */
export type Report = { url: string } | { log: RequestLog[] };

let log: RequestLog[] = [];

process.on("message", async (order: Order) => {
  if (order === "log") {
    process.send?.({ log } satisfies Report);
    log = [];
    return;
  }
  const bucket = order.serve === "memory:" ? memoryBucket() : fileBucket(order.serve);
  const { url } = await serveBucket(bucket, { ...order.options, log: (line) => void log.push(line) });
  process.send?.({ url } satisfies Report);
});
process.on("disconnect", () => process.exit(0));
