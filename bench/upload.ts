/** New blobs of 64 KiB to S3 with 20 ms added latency: `git odb push` against `git lfs push`. `npm run build` first. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startS3 } from "../test/support/s3/index.js";
import { cpuCounter, interleave, keep, root, table, verdicts } from "./support.js";

/** Of the 2,000 that the bound names: three rounds of both stay below 150 s on a busy machine. */
const COUNT = Number(process.argv[2] ?? 1000);
const ROUNDS = Number(process.argv[3] ?? 3);
const SIZE = 64 * 1024;
const LATENCY_MS = 20;

const work = mkdtempSync(join(tmpdir(), "git-odb-bench-upload-"));
const server = await startS3({ faults: { latencyMs: LATENCY_MS } });
const env: NodeJS.ProcessEnv = {
  ...process.env,
  ...server.env,
  PATH: `${commands()}:${process.env.PATH}`,
  GIT_CONFIG_GLOBAL: "/dev/null",
  XDG_CACHE_HOME: join(work, "cache"),
};
delete env.NODE_EXTRA_CA_CERTS;
let round = 0;
try {
  const sources = {
    odb: makeRepo("odb", "*.bin odb=big\n"),
    lfs: makeRepo("lfs", "*.bin filter=lfs -text\n"),
  };
  const names = { lfs: "git lfs push", odb: "git odb push" };
  const { counted, cpu, lines } = cpuCounter();
  const timings = await interleave(
    [counted(names.lfs, () => lfsPush(sources.lfs)), counted(names.odb, () => odbPush(sources.odb))],
    { rounds: ROUNDS, warmUp: 0 },
  );
  const what = `${COUNT} blobs of ${SIZE} B to S3 with ${LATENCY_MS} ms added; git-lfs ${lfsVersion()}, 8 transfers at a time, its agent on the same S3 client; metadata refs included`;
  const verdict = verdicts(timings, [{ variant: names.odb, to: names.lfs, atMost: 1 / 3 }]);
  const text = [what, "", table(timings), "", ...verdict, "", ...lines(names.lfs)].join("\n");
  keep("upload", text, { COUNT, SIZE, LATENCY_MS, timings, cpu: Object.fromEntries(cpu) });
} finally {
  await server.close();
  rmSync(work, { recursive: true, force: true });
}

function commands(): string {
  const folder = join(work, "bin");
  mkdirSync(folder);
  for (const name of ["git-odb", "git-remote-odb", "git-odb-helper-s3"]) {
    symlinkSync(join(root, `dist/bin/${name}.cjs`), join(folder, name));
  }
  return folder;
}

/** A repository with one commit of all blobs, and an empty bare remote. */
function makeRepo(name: string, attributes: string): string {
  const repo = join(work, name);
  git(work, "init", "-q", "-b", "main", repo);
  git(repo, "config", "user.name", "bench");
  git(repo, "config", "user.email", "bench@example.com");
  if (name === "lfs") git(repo, "lfs", "install", "--local", "--skip-smudge");
  writeFileSync(join(repo, ".gitattributes"), attributes);
  for (let n = 0; n < COUNT; n++) writeFileSync(join(repo, `${n}.bin`), randomBytes(SIZE));
  git(repo, "add", ".");
  git(repo, "commit", "-q", "-m", "all");
  return repo;
}

/** A copy, so that each round sends everything, into a prefix of its own. @returns milliseconds of the push alone */
function freshCopy(source: string): { repo: string; url: string } {
  const repo = join(work, `round${round++}`);
  cpSync(source, repo, { recursive: true });
  git(work, "init", "-q", "--bare", `${repo}.git`);
  git(repo, "remote", "add", "origin", `${repo}.git`);
  return { repo, url: server.url(`round${round}`) };
}

function odbPush(source: string): number {
  const { repo, url } = freshCopy(source);
  git(repo, "odb", "init", "-q", "big", url);
  return timed(repo, {}, "odb", "push", "-q", "origin");
}

function lfsPush(source: string): number {
  const { repo, url } = freshCopy(source);
  const settings = {
    "lfs.standalonetransferagent": "s3",
    "lfs.customtransfer.s3.path": process.execPath,
    "lfs.customtransfer.s3.args": join(root, "bench/lfs-agent.mjs"),
    "lfs.customtransfer.s3.concurrent": "true",
    "lfs.concurrenttransfers": "8",
    "lfs.locksverify": "false",
  };
  for (const [key, value] of Object.entries(settings)) git(repo, "config", key, value);
  return timed(repo, { LFS_AGENT_BUCKET: url }, "lfs", "push", "origin", "main");
}

function timed(cwd: string, more: NodeJS.ProcessEnv, ...args: string[]): number {
  const start = performance.now();
  execFileSync("git", args, { cwd, env: { ...env, ...more }, stdio: ["ignore", "ignore", "inherit"] });
  return performance.now() - start;
}

function git(cwd: string, ...args: string[]): void {
  execFileSync("git", args, { cwd, env, stdio: ["ignore", "ignore", "inherit"] });
}

function lfsVersion(): string {
  return (
    execFileSync("git", ["lfs", "version"], { env, encoding: "utf8" })
      .split(" ")[0]
      ?.replace("git-lfs/", "") ?? ""
  );
}
