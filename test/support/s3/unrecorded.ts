/** Objects that another program has put, as far as a bucket of ours can tell: without our checksum. */

import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { S3Server } from "./index.js";

/** Writes `key` of the bucket `test`, with Amazon's own client. */
export async function putUnrecorded(server: S3Server, key: string, bytes: Uint8Array): Promise<void> {
  const { accessKeyId, secretAccessKey, endpoint } = server;
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    await client.send(new PutObjectCommand({ Bucket: "test", Key: key, Body: bytes }));
  } finally {
    client.destroy();
  }
}
