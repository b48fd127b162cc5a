/** The contract of a bucket, on S3: the embedded server, or radosgw when it is asked for. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { s3Bucket } from "../../src/bucket/s3.js";
import { startAnyS3 } from "../support/any-s3.js";
import { testBucket } from "../support/bucket-contract.js";
import type { S3Server } from "../support/s3/index.js";
import { tempDir } from "../support/temp.js";

let server: S3Server | undefined;
afterAll(() => server?.close());

testBucket("s3", openSubject, ["unconditional", "staging"]);

async function openSubject() {
  server = await startAnyS3();
  const credentials = join(tempDir("aws"), "credentials");
  writeFileSync(credentials, "[stranger]\naws_access_key_id = AKnobody\naws_secret_access_key = nothing\n");
  process.env.AWS_SHARED_CREDENTIALS_FILE = credentials;
  return {
    bucket: s3Bucket(server.url("contract")),
    other: s3Bucket(server.url("contract")),
    denied: s3Bucket(server.url("contract", { profile: "stranger" })),
  };
}
