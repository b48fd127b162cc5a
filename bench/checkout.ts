/** Checkout of missing blobs of 64 KiB from S3 with 20 ms added latency: git odb against git-lfs. `npm run build` first. */

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBucket } from "../src/bucket/open.js";
import { sourceOf } from "../src/object/content.js";
import { startS3 } from "../test/support/s3/index.js";
import { cpuCounter, interleave, keep, root, table, verdicts } from "./support.js";

/** Of the 2,000 that the bound names: three rounds of both stay below 150 s on a busy machine. */
const COUNT = Number(process.argv[2] ?? 1000);
const ROUNDS = Number(process.argv[3] ?? 3);
const SIZE = 64 * 1024;
const LATENCY_MS = 20;

const work = mkdtempSync(join(tmpdir(), "git-odb-bench-checkout-"));
const server = await startS3();
Object.assign(process.env, server.env);
const env: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${commands()}:${process.env.PATH}`,
  GIT_CONFIG_GLOBAL: "/dev/null",
  XDG_CACHE_HOME: join(work, "cache"),
};
delete env.NODE_EXTRA_CA_CERTS;
let round = 0;
try {
  const url = server.url("checkout");
  const contents = Array.from({ length: COUNT }, () => randomBytes(SIZE));
  await fill(url, contents);
  const clones = { odb: odbClone(url, contents), lfs: lfsClone(contents) };
  await server.setFaults({ latencyMs: LATENCY_MS });
  const names = { lfs: "git checkout, git-lfs", odb: "git checkout, git odb" };
  const { counted, cpu, lines } = cpuCounter();
  const timings = await interleave(
    [
      counted(names.lfs, () => checkout(clones.lfs, url)),
      counted(names.odb, () => checkout(clones.odb, url)),
    ],
    { rounds: ROUNDS, warmUp: 0 },
  );
  const what = `${COUNT} blobs of ${SIZE} B from S3 with ${LATENCY_MS} ms added; git-lfs ${lfsVersion()}, 8 transfers at a time, its agent on the same S3 client`;
  const verdict = verdicts(timings, [{ variant: names.odb, to: names.lfs, atMost: 1 / 3 }]);
  keep("checkout", [what, "", table(timings), "", ...verdict, "", ...lines(names.lfs)].join("\n"), {
    COUNT,
    SIZE,
    LATENCY_MS,
    timings,
    cpu: Object.fromEntries(cpu),
  });
} finally {
  await server.close();
  rmSync(work, { recursive: true, force: true });
}

function commands(): string {
  const folder = join(work, "bin");
  mkdirSync(folder);
  symlinkSync(join(root, "dist/bin/git-remote-odb.cjs"), join(folder, "git-remote-odb"));
  return folder;
}

/** Both forms of each object, straight into the bucket. */
async function fill(url: string, contents: readonly Buffer[]): Promise<void> {
  const bucket = await openBucket(url);
  const settings = '{"version":1,"layout":"raw","hash":"sha1","kind":"store"}\n';
  await bucket.write("git-odb.json", sourceOf(Buffer.from(settings)));
  const left = contents.values();
  const work = async () => {
    for (const content of left) {
      const oid = createHash("sha1").update(`blob ${SIZE}\0`).update(content).digest("hex");
      await bucket.write(`objects/${oid.slice(0, 2)}/${oid}`, sourceOf(content));
      await bucket.write(`lfs/${createHash("sha256").update(content).digest("hex")}`, sourceOf(content));
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  await bucket.close();
}

/** A repository with one commit of all files, and a bare clone of it. */
function makeSource(name: string, contents: readonly Buffer[], prepare: (repo: string) => void): string {
  const repo = join(work, name);
  git(work, "init", "-q", "-b", "main", repo);
  git(repo, "config", "user.name", "bench");
  git(repo, "config", "user.email", "bench@example.com");
  prepare(repo);
  for (const [n, content] of contents.entries()) writeFileSync(join(repo, `${n}.bin`), content);
  git(repo, "add", ".");
  git(repo, "commit", "-q", "-m", "all");
  git(repo, "config", "uploadpack.allowFilter", "true");
  return repo;
}

/** Without blobs; git asks the ODB for them. */
function odbClone(url: string, contents: readonly Buffer[]): string {
  const source = makeSource("odb", contents, () => {});
  const clone = `${source}-clone`;
  git(work, "clone", "-q", "--no-checkout", "--filter=blob:none", `file://${source}`, clone);
  git(clone, "config", "remote.origin.promisor", "false");
  git(clone, "config", "--unset", "remote.origin.partialclonefilter");
  git(clone, "config", "remote.odb-m.url", `odb::${url}`);
  git(clone, "config", "remote.odb-m.promisor", "true");
  git(clone, "config", "remote.odb-m.partialclonefilter", "blob:none");
  return clone;
}

/** With pointers and no objects; git-lfs asks our agent for them. */
function lfsClone(contents: readonly Buffer[]): string {
  const source = makeSource("lfs", contents, (repo) => {
    git(repo, "lfs", "install", "--local");
    writeFileSync(join(repo, ".gitattributes"), "*.bin filter=lfs -text\n");
  });
  const clone = `${source}-clone`;
  git(work, "clone", "-q", "--no-checkout", `file://${source}`, clone);
  git(clone, "lfs", "install", "--local");
  const settings = {
    "lfs.url": "https://lfs.invalid/",
    "lfs.standalonetransferagent": "s3",
    "lfs.customtransfer.s3.path": process.execPath,
    "lfs.customtransfer.s3.args": join(root, "bench/lfs-agent.mjs"),
    "lfs.customtransfer.s3.concurrent": "true",
    "lfs.concurrenttransfers": "8",
  };
  for (const [key, value] of Object.entries(settings)) git(clone, "config", key, value);
  return clone;
}

/** In a copy of its own. @returns milliseconds of the checkout alone */
function checkout(clone: string, url: string): number {
  const repo = join(work, `round${round++}`);
  cpSync(clone, repo, { recursive: true });
  const start = performance.now();
  const options = { cwd: repo, env: { ...env, LFS_AGENT_BUCKET: url }, stdio: "inherit" as const };
  execFileSync("git", ["checkout", "-q", "main"], options);
  const ms = performance.now() - start;
  const { length } = readFileSync(join(repo, `${COUNT - 1}.bin`));
  if (length !== SIZE) throw new Error(`${repo}: ${length} bytes instead of ${SIZE}`);
  rmSync(repo, { recursive: true });
  return ms;
}

function git(cwd: string, ...args: string[]): void {
  execFileSync("git", args, { cwd, env, stdio: ["ignore", "ignore", "inherit"] });
}

function lfsVersion(): string {
  const text = execFileSync("git", ["lfs", "version"], { env, encoding: "utf8" });
  return text.split(" ")[0]?.replace("git-lfs/", "") ?? "";
}
