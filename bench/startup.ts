/** What a helper costs from the start of its process: a `have` of 1,000 objects, a first get from S3. `npm run build` first. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startS3 } from "../test/support/s3/index.js";
import { cpuCounter, interleave, keep, table, verdicts } from "./support.js";
import { benchOdb, putBlobs } from "./support-odb.js";

const store = mkdtempSync(join(tmpdir(), "git-odb-bench-store-"));
const server = await startS3();
const file = benchOdb("file", store);
const s3 = benchOdb("s3", server.url("bench"), server.env);
try {
  await filled(file, 1000);
  const [oid = ""] = await filled(s3, 1);
  const run = (args: string[], { directory, env } = file, more: NodeJS.ProcessEnv = {}) => {
    const done = spawnSync(process.execPath, args, {
      cwd: directory,
      env: { ...env, ...more },
      encoding: "latin1",
    });
    if (done.status !== 0 || done.stderr !== "")
      throw new Error(`${args.join(" ")}: ${done.status} ${done.stderr}`);
    return done.stdout;
  };
  const have = () => run([file.helper, "--name", "magic", "have"]);
  if (have().split("\n").length !== 1001) throw new Error("have does not name its 1,000 objects");
  const get = [s3.helper, "--name", "magic", "get_git_obj", oid];
  const { counted, cpu, lines } = cpuCounter();
  const rounds = Number(process.argv[2] ?? 7);
  const timings = await interleave(
    [
      counted("node -e 0", () => run(["-e", "0"])),
      counted("script have, file, 1,000 objects", have),
      counted("script get, S3", () => run(get, s3)),
      counted("script get, S3, no code cache", () => run(get, s3, { XDG_CACHE_HOME: "/dev/null" })),
    ],
    { rounds },
  );
  const targets = [
    { variant: "script have, file, 1,000 objects", to: "node -e 0", atMost: 1.6 },
    { variant: "script get, S3", to: "node -e 0", atMost: 3.5 },
  ];
  const text = [table(timings), "", ...verdicts(timings, targets), "", ...lines("node -e 0")].join("\n");
  keep("startup", text, { timings, cpu: Object.fromEntries(cpu) });
} finally {
  await server.close();
  for (const odb of [file, s3]) odb.remove();
  rmSync(store, { recursive: true, force: true });
}

async function filled(odb: typeof file, count: number): Promise<string[]> {
  const client = await odb.connect();
  const oids = await putBlobs(client, count, 100);
  await client.close();
  return oids;
}
