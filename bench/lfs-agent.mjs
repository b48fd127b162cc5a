// A custom transfer agent of git-lfs that puts objects into the bucket $LFS_AGENT_BUCKET, by the same S3 client as
// git odb. `npm run build` first. https://github.com/git-lfs/git-lfs/blob/main/docs/custom-transfers.md
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { openBucket } from "../dist/lib/src/bucket/index.js";

const bucket = await openBucket(process.env.LFS_AGENT_BUCKET);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { event, oid, size, path } = JSON.parse(line);
  if (event === "init") say({});
  else if (event === "upload") {
    const open = ({ start, end } = {}) =>
      createReadStream(path, { start, ...(end !== undefined && { end: end - 1 }) });
    await bucket.write(`lfs/${oid}`, { size, open });
    say({ event: "complete", oid });
  } else if (event === "terminate") break;
}
await bucket.close();
