/** Small objects, asked for one at a time: a helper process on a file store against `git cat-file --batch`. */

import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { hashObject } from "../src/object/content.js";
import { interleave, keep, table, verdicts } from "./support.js";

type Child = ChildProcessByStdio<Writable, Readable, null>;

const FLUSH = "0000";
const count = Number(process.argv[2] ?? 20_000);
const rounds = Number(process.argv[3] ?? 7);
/** CPU time of the answering process in milliseconds, round by round: a busy machine hardly changes it. */
const cpu = new Map<string, number[]>();
const dir = mkdtempSync(join(tmpdir(), "git-odb-bench-"));
try {
  const oids = makeObjects();
  const variants = [
    { name: "git cat-file --batch", run: () => askCatFile(oids) },
    { name: "get_git_obj", run: () => askHelper(oids) },
  ];
  const timings = await interleave(variants, { rounds });
  const targets = [{ variant: "get_git_obj", to: "git cat-file --batch", atMost: 1.5 }];
  const each = timings.map(
    ({ name, min, median }) =>
      `${name}: ${perObject(min)} us an object, median ${perObject(median)}; ${perObject(cpuOf(name))} us of its process's CPU time`,
  );
  const lines = [
    `${count} objects of 100 B, one at a time`,
    "",
    table(timings),
    "",
    ...each,
    ...verdicts(timings, targets),
  ];
  keep("get-git-obj", lines.join("\n"), { count, timings, cpu: Object.fromEntries(cpu), targets });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function cpuOf(name: string): number {
  return Math.min(...(cpu.get(name) ?? []));
}

/** User and system time of a process so far, in milliseconds: clock ticks of 10 ms (proc(5)). */
function cpuTime(child: Child): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

function perObject(ms: number): string {
  return ((ms / count) * 1000).toFixed(1);
}

/** The same objects in a raw file store and, packed, in a repository. */
function makeObjects(): string[] {
  const repo = join(dir, "repo");
  execFileSync("git", ["init", "-q", repo]);
  execFileSync("git", ["config", "odb.bench.url", join(dir, "store")], { cwd: repo });
  const oids: string[] = [];
  const stream: Buffer[] = [];
  for (let n = 0; n < count; n++) {
    const bytes = Buffer.alloc(100, `object ${n} `);
    const oid = hashObject("blob", bytes);
    mkdirSync(join(dir, "store/objects", oid.slice(0, 2)), { recursive: true });
    writeFileSync(join(dir, "store/objects", oid.slice(0, 2), oid), bytes);
    stream.push(Buffer.from("blob\ndata 100\n"), bytes, Buffer.from("\n"));
    oids.push(oid);
  }
  execFileSync("git", ["fast-import", "--quiet"], { cwd: repo, input: Buffer.concat(stream) });
  return oids;
}

async function askCatFile(oids: readonly string[]): Promise<number> {
  const child = start("git", ["cat-file", "--batch"]);
  // "<oid> blob 100" LF, the content, LF.
  const ms = await askAll(
    "git cat-file --batch",
    child,
    oids,
    (oid) => `${oid}\n`,
    (bytes) => bytes.length === 40 + 10 + 100 + 1,
  );
  child.stdin.end();
  return ms;
}

async function askHelper(oids: readonly string[]): Promise<number> {
  const helper = join(import.meta.dirname, "../dist/bin/git-odb-helper-file.cjs");
  const child = start(process.execPath, [helper, "--name", "bench"]);
  const pkt = (text: string) => `${(text.length + 5).toString(16).padStart(4, "0")}${text}\n`;
  const ended = (bytes: Buffer) => bytes.subarray(-4).toString() === FLUSH;
  await ask(child, pkt("git-read-object-client") + pkt("version=1") + FLUSH, ended);
  await ask(child, pkt("capability=get_git_obj") + FLUSH, ended);
  const done = Buffer.from(pkt("status=success") + FLUSH);
  const question = (oid: string) => pkt("command=get_git_obj") + pkt(`sha1=${oid}`) + FLUSH;
  const ms = await askAll("get_git_obj", child, oids, question, (bytes) =>
    bytes.subarray(-done.length).equals(done),
  );
  child.stdin.end();
  return ms;
}

function start(command: string, args: readonly string[]): Child {
  return spawn(command, args, { cwd: join(dir, "repo"), stdio: ["pipe", "pipe", "inherit"] });
}

/** Milliseconds for all questions, the process's start left out. */
async function askAll(
  name: string,
  child: Child,
  oids: readonly string[],
  question: (oid: string) => string,
  isWhole: (bytes: Buffer) => boolean,
): Promise<number> {
  await ask(child, question(oids[0] ?? ""), isWhole);
  const [begin, used] = [performance.now(), cpuTime(child)];
  for (const oid of oids) await ask(child, question(oid), isWhole);
  const ms = performance.now() - begin;
  cpu.set(name, [...(cpu.get(name) ?? []), cpuTime(child) - used]);
  return ms;
}

function ask(child: Child, question: string, isWhole: (bytes: Buffer) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let got: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
      if (!isWhole(got)) return;
      child.stdout.off("data", onData).off("end", onEnd);
      resolve();
    };
    const onEnd = () => reject(new Error(`the child ended after ${JSON.stringify(got.toString("latin1"))}`));
    child.stdout.on("data", onData).on("end", onEnd);
    child.stdin.write(question);
  });
}
