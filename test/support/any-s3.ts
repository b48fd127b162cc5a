/** The S3 server that the S3 suite runs on: the embedded one, or radosgw when GIT_ODB_TEST_S3=radosgw. */

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
