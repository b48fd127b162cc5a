/** Writes a file to a key of an S3 bucket: `writer.ts <url> <key> <file> <sha256>`, in a process that a test can kill. */

import { open, stat } from "node:fs/promises";
import { s3Bucket } from "../../src/bucket/s3.js";

const [url = "", key = "", file = "", sha256 = ""] = process.argv.slice(2);
const bucket = s3Bucket(url);
const { size } = await stat(file);
await bucket.write(
  key,
  {
    size,
    async *open({ start = 0, end = size } = { start: 0 }) {
      const handle = await open(file);
      yield* handle.createReadStream({ start, end: end - 1, highWaterMark: 1 << 20 });
    },
  },
  { sha256 },
);
await bucket.close();
