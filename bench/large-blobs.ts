/**
 * Large blobs into and out of a file store through a helper process: its time, its CPU time beside sha1sum's on the same
 * file and zlib's at level 1, and the most memory it ever had resident. `npm run build` first; arguments: MiB and rounds.
 * With more rounds than one the first only fills the page cache: pages that are new to the machine cost up to 2 s a GiB.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { connectProcess, type ProcessClient } from "../protocol/client.js";
import { type Content, objectHash } from "../src/object/content.js";
import { parseObjectId } from "../src/object/id.js";
import type { ObjectInfo } from "../src/object/info.js";
import { keep } from "./support.js";
import { benchOdb } from "./support-odb.js";

const MiB = 1024 * 1024;
const size = Number(process.argv[2] ?? 1024);
const rounds = Number(process.argv[3] ?? 1);
/** In MiB. */
const MEMORY_BOUND = 160;

const store = mkdtempSync(join(tmpdir(), "git-odb-bench-store-"));
const odb = benchOdb("file", store);
const lines: string[] = [];
const data: { name: string; ms: number; cpu: number; memory: number }[] = [];
try {
  for (const kind of ["random", "text"] as const) {
    const blocks = kind === "random" ? [randomBytes(MiB)] : Array.from({ length: 16 }, (_, n) => words(n));
    const info = await describe(blocks);
    const deflating = cpuOf(() => deflateSync(Buffer.concat(blocks), { level: 1 })) * (size / blocks.length);
    for (let round = 0; round < rounds; round++) {
      rmSync(join(store, "objects"), { recursive: true, force: true });
      await measure(`put ${kind}`, (client) => client.putRawObject(info, contentOf(blocks)));
      for (const form of ["raw", "git"] as const)
        await measure(`get_${form}_obj ${kind}`, (client) => get(client, info, form));
    }
    const [summing, copying] = [sha1sum(info), copy(info)];
    say(
      `for comparison, ${kind}: sha1sum ${seconds(summing)} of CPU time, zlib level 1 ${seconds(deflating)}, ` +
        `cat | cat >file ${seconds(copying)}`,
    );
    judge(`put ${kind}`, "sha1sum", summing, 2);
    judge(`get_raw_obj ${kind}`, "sha1sum", summing, 2);
    if (kind === "random") judge("get_git_obj random", "sha1sum", summing, 2);
    else judge("get_git_obj text", "zlib level 1", deflating, 1);
  }
  const most = Math.max(...data.map(({ memory }) => memory));
  lines.push(
    `at most ${most} MiB resident: ${most < MEMORY_BOUND ? "kept" : "MISSED"} (under ${MEMORY_BOUND})`,
  );
  keep(`large-blobs-${size}MiB`, lines.join("\n"), data);
} finally {
  odb.remove();
  rmSync(store, { recursive: true, force: true });
}

/** One session, one object. */
async function measure(name: string, work: (client: ProcessClient) => Promise<void>) {
  const note = join(store, "pid");
  // The shell becomes the helper.
  const command = `echo $$ >'${note}'; exec '${process.execPath}' '${odb.helper}' --name magic`;
  const form = name.startsWith("get_raw") ? "raw" : "git";
  execFileSync("git", ["config", "odb.magic.get", form], { cwd: odb.directory, env: odb.env });
  const client = await connectProcess(command, { cwd: odb.directory, env: odb.env });
  const pid = readFileSync(note, "utf8").trim();
  const start = performance.now();
  await work(client);
  const ms = performance.now() - start;
  const memory = Math.round(
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024,
  );
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  const cpu = 10 * (Number(fields[11]) + Number(fields[12]));
  await client.close();
  data.push({ name, ms, cpu, memory });
  say(`${name}: ${size} MiB in ${seconds(ms)}, ${seconds(cpu)} of CPU time, ${memory} MiB resident at most`);
}

function say(line: string): void {
  lines.push(line);
  console.error(line);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** Holds the least CPU time of a bench, its first round left out, against what another program takes. */
function judge(name: string, other: string, ms: number, atMost: number): void {
  const all = data.filter((each) => each.name === name).map(({ cpu }) => cpu);
  const ratio = Math.min(...(all.length > 1 ? all.slice(1) : all)) / ms;
  say(`${name} / ${other}: ${ratio.toFixed(2)} (at most ${atMost}): ${ratio <= atMost ? "kept" : "MISSED"}`);
}

/** Milliseconds of CPU time that sha1sum takes for the blob in the store. */
function sha1sum(info: ObjectInfo): number {
  return cpuOfShell(`sha1sum '${stored(info)}'`);
}

/** What it takes to get the blob through a pipe into a file, and nothing else. */
function copy(info: ObjectInfo): number {
  const to = join(store, "copy");
  const both = `cat '${stored(info)}' | cat >'${to}'`;
  const ms = Math.min(cpuOfShell(both), cpuOfShell(both));
  rmSync(to);
  return ms;
}

function stored({ oid }: ObjectInfo): string {
  return join(store, "objects", oid.slice(0, 2), oid);
}

function cpuOfShell(command: string): number {
  const script = `TIMEFORMAT='%U %S'; time { ${command}; }`;
  const { stderr } = spawnSync("bash", ["-c", script], { encoding: "latin1" });
  const [user, system] = stderr.trim().split(" ").map(Number);
  return 1000 * ((user ?? Number.NaN) + (system ?? Number.NaN));
}

async function get(client: ProcessClient, info: ObjectInfo, form: "raw" | "git"): Promise<void> {
  const found =
    form === "raw" ? (await client.getRawObject(info.oid))?.content : await client.getGitObject(info.oid);
  if (found === undefined) throw new Error(`${info.oid} is not there`);
  for await (const _ of found);
}

async function describe(blocks: readonly Buffer[]): Promise<ObjectInfo> {
  const hash = objectHash("sha1", "blob", size * MiB);
  for await (const chunk of contentOf(blocks)) hash.update(chunk);
  return { oid: parseObjectId(hash.digest("hex")), size: size * MiB, type: "blob" };
}

/** So many MiB, no two the same. */
async function* contentOf(blocks: readonly Buffer[]): Content {
  for (let n = 0; n < size; n++) {
    const chunk = Buffer.from(blocks[n % blocks.length] as Buffer);
    chunk.writeUInt32BE(n, 512);
    yield chunk;
  }
}

function cpuOf(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Text that deflates to a third, as source code and logs do. */
function words(seed: number): Buffer {
  let state = seed + 7;
  let text = "";
  while (text.length < MiB) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    const word = (state >> 8) % 4000;
    text += `${word.toString(36)}${word % 3 ? "" : "ing"}${(state >> 20) % 11 ? " " : "\n"}`;
  }
  return Buffer.from(text.slice(0, MiB));
}
