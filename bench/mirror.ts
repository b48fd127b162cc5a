/**
 * A mirror of a repository of 50,000 objects to an S3 server with 5 ms of latency, against `git clone --mirror` of the
 * same source and the upload of its pack, and an unchanged second run. `npm run build` first.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBucket } from "../src/bucket/open.js";
import { startS3 } from "../test/support/s3/index.js";
import { interleave, keep, root, table, verdicts } from "./support.js";

const COMMITS = Number(process.argv[2] ?? 7000);
const ROUNDS = Number(process.argv[3] ?? 7);
const LATENCY_MS = 5;

const folder = mkdtempSync(join(tmpdir(), "git-odb-bench-mirror-"));
const server = await startS3({ faults: { latencyMs: LATENCY_MS } });
Object.assign(process.env, server.env);
let count = 0;
try {
  const source = generate(join(folder, "source"));
  const objects = Number(git(source, "rev-list", "--objects", "--all", "--count"));
  const once0 = `mirror-${++count}`;
  await mirror(source, once0);
  const timings = await interleave(
    [
      { name: "git clone --mirror, then upload", run: () => cloneAndUpload(source) },
      { name: "git odb mirror", run: () => mirror(source, `mirror-${++count}`) },
      { name: "git odb mirror, nothing new", run: () => mirror(source, once0) },
    ],
    { rounds: ROUNDS },
  );
  const start = performance.now();
  await mirror(source, `mirror-${++count}`, "--stream");
  const stream = `git odb mirror --stream, once: ${((performance.now() - start) / 1000).toFixed(1)} s`;
  const to = "git clone --mirror, then upload";
  const kept = verdicts(timings, [{ variant: "git odb mirror", to, atMost: 1.3 }]);
  const text = [`${objects} objects, ${LATENCY_MS} ms of latency`, table(timings), ...kept, stream].join(
    "\n\n",
  );
  keep("mirror", text, { objects, LATENCY_MS, timings });
} finally {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}

/** A history in which each commit changes three files in folders of folders: some eight objects each. */
function generate(path: string): string {
  execFileSync("git", ["init", "-q", "--bare", path]);
  const lines: string[] = [];
  for (let i = 1; i <= COMMITS; i++) {
    lines.push(
      "commit refs/heads/main",
      `committer A <a@example.com> ${1_600_000_000 + i} +0000`,
      "data 2",
      `c`,
      "",
    );
    for (const n of [1, 2, 3]) {
      const text = wordsOf(i * n);
      lines.push(
        `M 100644 inline d${(i * n) % 23}/e${(i * 31 * n) % 37}/f${(i * 13 * n) % 53}`,
        `data ${text.length}`,
        text,
      );
    }
  }
  execFileSync("git", ["-C", path, "fast-import", "--quiet"], { input: `${lines.join("\n")}\n` });
  execFileSync("git", ["-C", path, "gc", "-q"]);
  return path;
}

/** Some 2 KiB that compress about as source code does, half of it common to all files. */
function wordsOf(seed: number): string {
  const words = Array.from({ length: 220 }, (_, i) =>
    (((i % 2 ? i : seed + i) * 2_654_435_761) % 2 ** 32).toString(36),
  );
  return words.map((word, i) => (i % 8 ? `${word} ` : `${word}\n`)).join("");
}

function git(cwd: string, ...args: string[]): string {
  return execFileSync("git", ["-C", cwd, ...args], { encoding: "utf8" }).trim();
}

/** What one would do by hand: the pack and its index go up by the same bucket code. */
async function cloneAndUpload(source: string): Promise<undefined> {
  const clone = join(folder, `clone-${++count}`);
  await run("git", ["clone", "-q", "--mirror", "--no-local", source, clone]);
  const bucket = await openBucket(server.url(`clone-${count}`));
  const packs = join(clone, "objects/pack");
  for (const name of readdirSync(packs).filter((each) => /\.(?:pack|idx)$/.test(each))) {
    const path = join(packs, name);
    const { size } = statSync(path);
    const open = ({ start = 0, end = size } = {}) =>
      createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 20 });
    await bucket.write(`objects/pack/${name}`, { size, open });
  }
  await bucket.close();
  rmSync(clone, { recursive: true });
  return undefined;
}

async function mirror(source: string, prefix: string, ...options: string[]): Promise<undefined> {
  const command = join(root, "dist/bin/git-odb.cjs");
  await run(process.execPath, [
    command,
    "mirror",
    "-q",
    "--source",
    source,
    "--target",
    server.url(prefix),
    ...options,
  ]);
  return undefined;
}

async function run(command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${command} ${args[0]}: exit code ${code}`);
}
