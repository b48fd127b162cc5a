/** The S3 server that the suites of S3 and of mirrors run on: the embedded one, or radosgw when GIT_ODB_TEST_S3=radosgw. */

import { startRadosgw } from "./radosgw.js";
import { type EmbeddedS3, type S3Server, startS3 } from "./s3/index.js";

/** Starts it, and lets this process in: its environment gets the credentials. */
export async function startAnyS3(): Promise<EmbeddedS3 | S3Server> {
  const wanted = process.env.GIT_ODB_TEST_S3 ?? "embedded";
  if (wanted !== "embedded" && wanted !== "radosgw")
    throw new Error(`GIT_ODB_TEST_S3=${wanted}: no such server`);
  const server = wanted === "radosgw" ? await startRadosgw() : await startS3();
  Object.assign(process.env, server.env);
  return server;
}

/** Whether it is the embedded server, which counts requests and misbehaves when it is told to. */
export const isEmbedded = (process.env.GIT_ODB_TEST_S3 ?? "embedded") === "embedded";

/** What only the embedded server can do. @throws Error when it is another one */
export function embedded(server: EmbeddedS3 | S3Server): EmbeddedS3 {
  if ("setFaults" in server) return server;
  throw new Error(`${server.kind} cannot do that: skip the test unless isEmbedded`);
}
