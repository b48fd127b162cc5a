/** git-odb-helper-s3: objects in S3. */

import { runHelper } from "./run.js";

void runHelper({
  command: "git-odb-helper-s3",
  schemes: ["s3"],
  urls: "s3://bucket/prefix?endpoint=...&region=...",
});
