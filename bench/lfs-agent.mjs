// A custom transfer agent of git-lfs that keeps objects in the bucket $LFS_AGENT_BUCKET, by the same S3 client as git
// odb. `npm run build` first. https://github.com/git-lfs/git-lfs/blob/main/docs/custom-transfers.md
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openBucket } from "../dist/lib/src/bucket/index.js";

const bucket = await openBucket(process.env.LFS_AGENT_BUCKET);
// git-lfs moves what it was given into its own folder: a rename, when both are on one disk.
const folder = await mkdtemp(join(process.cwd(), ".git/lfs-agent-"));
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { event, oid, size, path } = JSON.parse(line);
  if (event === "init") say({});
  else if (event === "upload") {
    const open = ({ start, end } = {}) =>
      createReadStream(path, { start, ...(end !== undefined && { end: end - 1 }) });
    await bucket.write(`lfs/${oid}`, { size, open });
    say({ event: "complete", oid });
  } else if (event === "download") {
    const { content } = await bucket.read(`lfs/${oid}`);
    const file = join(folder, oid);
    await writeFile(file, content);
    say({ event: "complete", oid, path: file });
  } else if (event === "terminate") break;
}
await rm(folder, { recursive: true });
await bucket.close();
