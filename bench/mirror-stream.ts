/**
 * Memory and time of `git odb mirror --stream` for packs of 1 GiB (or so many MiB as are given): one of few large objects,
 * one of 1.3 million small ones. The source sends its pack as it is, so that it is not git that is measured. `npm run build`
 * first; takes some three minutes, two of them to make the sources.
 */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startS3 } from "../test/support/s3/index.js";
import { keep, root } from "./support.js";

const MIB = Number(process.argv[2] ?? 1024);
const LIMIT_MIB = 300;

const folder = mkdtempSync(join(tmpdir(), "git-odb-bench-stream-"));
const server = await startS3({ faults: { latencyMs: 5 } });
Object.assign(process.env, server.env);
try {
  const shapes = [
    { name: "few large objects", commits: 25, files: 1, size: Math.floor((MIB / 25) * 2 ** 20) },
    { name: "many small objects", commits: 122 * MIB, files: 3, size: 2600 },
  ];
  const results = [];
  for (const shape of shapes) results.push({ ...shape, ...(await measure(shape)) });
  const lines = results.map(({ name, objects, seconds, cpuSeconds, rss }) => {
    const verdict = rss <= LIMIT_MIB ? "kept" : "MISSED";
    const time = `${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of processor time`;
    return `${name}: ${objects} objects, ${time}, ${rss.toFixed(0)} MiB resident at most (at most ${LIMIT_MIB}): ${verdict}`;
  });
  keep("mirror-stream", [`packs of ${MIB} MiB`, ...lines].join("\n\n"), { MIB, results });
} finally {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}

interface Shape {
  readonly name: string;
  readonly commits: number;
  readonly files: number;
  readonly size: number;
}

interface Measured {
  readonly objects: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** In MiB. */
  readonly rss: number;
}

async function measure(shape: Shape): Promise<Measured> {
  const source = await generate(shape);
  const hook = join(folder, "hook");
  writeFileSync(hook, `#!/bin/sh\ncat '${source}'/objects/pack/*.pack\n`);
  chmodSync(hook, 0o755);
  writeFileSync(join(folder, "config"), `[uploadpack]\n\tpackObjectsHook = ${hook}\n`);
  const target = server.url(shape.name.replaceAll(" ", "-"));
  const command = join(root, "dist/bin/git-odb.cjs");
  const start = performance.now();
  const args = [command, "mirror", "--json", "--stream", "--source", source, "--target", target];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, GIT_CONFIG_GLOBAL: join(folder, "config") },
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  let [rss, cpuSeconds] = [0, 0];
  const timer = setInterval(() => {
    rss = Math.max(rss, residentMost(child.pid ?? 0));
    cpuSeconds = Math.max(cpuSeconds, cpuOf(child.pid ?? 0));
  }, 50);
  const [code] = await once(child, "close");
  clearInterval(timer);
  if (code !== 0) throw new Error(`git odb mirror: exit code ${code}`);
  const seconds = (performance.now() - start) / 1000;
  const { objects } = JSON.parse(said.trimEnd().split("\n").at(-1) ?? "{}");
  rmSync(source, { recursive: true });
  return { objects, seconds, cpuSeconds, rss };
}

/** User and system time of a process so far, in seconds (proc(5), ticks of 10 ms). */
function cpuOf(pid: number): number {
  const fields = procFile(pid, "stat").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
}

/** In MiB. */
function residentMost(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(procFile(pid, "status"))?.[1] ?? 0) / 1024;
}

/** Empty once the process has ended: what it said before counts. */
function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}

/** Files of noise in folders of folders, of which each commit changes some: the trees are deltas. */
async function generate({ commits, files, size }: Shape): Promise<string> {
  const path = join(folder, "source");
  await run("git", ["init", "-q", "--bare", path]);
  const config = ["-c", "core.bigFileThreshold=1m", "-c", "pack.compression=1"];
  const child = spawn("git", ["-C", path, ...config, "fast-import", "--quiet", "--max-pack-size=8g"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  const exited = once(child, "exit");
  for (let i = 1; i <= commits; i++) {
    const head = `commit refs/heads/main\ncommitter A <a@example.com> ${1_600_000_000 + i} +0000\ndata 2\nc\n\n`;
    const chunks = [Buffer.from(head)];
    for (let n = 1; n <= files; n++) {
      const name = `d${(i * n) % 23}/e${(i * 31 * n) % 37}/f${(i * 13 * n) % 53}`;
      chunks.push(
        Buffer.from(`M 100644 inline ${name}\ndata ${size}\n`),
        randomBytes(size),
        Buffer.from("\n"),
      );
    }
    if (!child.stdin.write(Buffer.concat(chunks))) await once(child.stdin, "drain");
  }
  child.stdin.end();
  const [code] = await exited;
  if (code !== 0) throw new Error(`git fast-import: exit code ${code}`);
  return path;
}

async function run(command: string, args: string[]): Promise<void> {
  const [code] = await once(spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] }), "exit");
  if (code !== 0) throw new Error(`${command} ${args[0]}: exit code ${code}`);
}
