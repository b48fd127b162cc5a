/**
 * One large blob through every verb, on a file store and on an S3 server: the most memory that any of a verb's processes
 * had resident, ours and git's apart. `npm run build` first; arguments: MiB, and `file`, `s3` or both. It needs room for
 * five times the blob.
 */

import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startS3 } from "../test/support/s3/index.js";
import { keep, root } from "./support.js";

const MiB = 1024 * 1024;
const size = Number(process.argv[2] ?? 256);
const kinds = process.argv.length > 3 ? process.argv.slice(3) : ["file", "s3"];
/** In MiB: of a process of ours, whatever the size of the blob. */
const MEMORY_BOUND = 200;

interface Measured {
  readonly store: string;
  readonly verb: string;
  readonly seconds: number;
  /** In MiB. */
  readonly ours: number;
  readonly any: number;
}

const base = mkdtempSync(join(tmpdir(), "git-odb-bench-large-"));
const results: Measured[] = [];
try {
  for (const kind of kinds) {
    if (kind === "file") measureAll(kind, join(base, "store"), {});
    else {
      const server = await startS3();
      try {
        measureAll(kind, server.url("large"), server.env);
      } finally {
        await server.close();
      }
    }
    for (const name of ["work", "clone", "host.git", "store"])
      rmSync(join(base, name), { recursive: true, force: true });
  }
  const rows = results.map(
    ({ store, verb, seconds, ours, any }) =>
      `${store.padEnd(5)} ${verb.padEnd(34)} ${seconds.toFixed(0).padStart(5)} s  ${String(ours).padStart(5)} MiB ours  ${String(any).padStart(5)} MiB at most`,
  );
  const most = Math.max(...results.map(({ ours }) => ours));
  rows.push(
    `ours at most ${most} MiB resident: ${most < MEMORY_BOUND ? "kept" : "MISSED"} (under ${MEMORY_BOUND})`,
  );
  keep(`large-verbs-${size}MiB-${kinds.join("-")}`, rows.join("\n"), results);
} finally {
  rmSync(base, { recursive: true, force: true });
}

/** The life of one blob: added, put, pushed, dropped, fetched lazily, dropped, fetched, cloned. */
function measureAll(store: string, url: string, more: Readonly<Record<string, string>>): void {
  const work = join(base, "work");
  const host = join(base, "host.git");
  const env = environment(more);
  const run = (verb: string, cwd: string, ...args: string[]) => measure({ store, verb, cwd, env }, args);
  const git = (cwd: string, ...args: string[]) => execFileSync("git", args, { cwd, env, stdio: "pipe" });
  git(base, "init", "-q", "-b", "main", work);
  git(base, "init", "-q", "--bare", "-b", "main", host);
  git(host, "config", "uploadpack.allowFilter", "true");
  git(work, "remote", "add", "origin", `file://${host}`);
  git(work, "odb", "init", "-q", "media", url);
  git(work, "odb", "track", "-q", "media", "*.bin");
  git(work, "odb", "init", "-q", "--publish", "media");
  writeLarge(join(work, "large.bin"));
  run("git add (no part of ours)", work, "add", "-A");
  git(work, "commit", "-qm", "large");
  rmSync(join(work, "large.bin"));
  run("odb put", work, "odb", "put", "-q", "media", "HEAD:large.bin");
  run("odb push (in the store already)", work, "odb", "push", "-q", "origin", "main");
  git(work, "push", "-q", "-u", "origin", "main");
  git(work, "push", "-q", "origin", "refs/odbs/*:refs/odbs/*");
  run("odb offload", work, "odb", "offload", "-q");
  run("lazy fetch (cat-file -e)", work, "cat-file", "-e", "HEAD:large.bin");
  run("odb offload again", work, "odb", "offload", "-q");
  run("odb fetch", work, "odb", "fetch", "-q", "HEAD");
  run("odb fsck --store", work, "odb", "fsck", "-q", "--store");
  // Of the same blob into an empty store.
  const again = store === "file" ? join(base, "store/again") : url.replace("large", "again");
  git(work, "odb", "init", "-q", "other", again);
  writeFileSync(join(work, ".gitattributes"), "*.bin odb=other\n");
  git(work, "commit", "-qm", "elsewhere", ".gitattributes");
  run("odb push", work, "odb", "push", "-q", "--all", "origin");
  git(work, "push", "-q", "origin", "main", "refs/odbs/*:refs/odbs/*");
  rmSync(work, { recursive: true, force: true });
  const accept = `--accept-odb=${url}`;
  run(
    "odb clone, with its checkout",
    base,
    "odb",
    "clone",
    "-q",
    accept,
    `file://${host}`,
    join(base, "clone"),
  );
}

/** The commands on PATH; each node process of ours notes its memory when it ends. */
function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const bin = join(base, "bin");
  mkdirSync(bin, { recursive: true });
  for (const name of ["git-odb", "git-remote-odb", "git-odb-helper-file", "git-odb-helper-s3"]) {
    rmSync(join(bin, name), { force: true });
    symlinkSync(join(root, `dist/bin/${name}.cjs`), join(bin, name));
  }
  const preload = join(base, "memory.cjs");
  const note = `require("node:fs").appendFileSync(${JSON.stringify(join(base, "memory"))}, \`\${process.resourceUsage().maxRSS}\\n\`)`;
  writeFileSync(preload, `process.on("exit", () => ${note});\n`);
  const who = { name: "bench", email: "bench@example.com" };
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...more,
    PATH: `${bin}:${process.env.PATH}`,
    NODE_OPTIONS: `--require ${preload}`,
    GIT_CONFIG_GLOBAL: "/dev/null",
    XDG_CACHE_HOME: join(base, "cache"),
    GIT_AUTHOR_NAME: who.name,
    GIT_AUTHOR_EMAIL: who.email,
    GIT_COMMITTER_NAME: who.name,
    GIT_COMMITTER_EMAIL: who.email,
  };
  delete env.NODE_EXTRA_CA_CERTS;
  return env;
}

function measure(
  { store, verb, cwd, env }: { store: string; verb: string; cwd: string; env: NodeJS.ProcessEnv },
  args: readonly string[],
): void {
  const memory = join(base, "memory");
  writeFileSync(memory, "");
  const start = performance.now();
  const done = spawnSync("/usr/bin/time", ["-q", "-f", "%M", "-o", join(base, "time"), "git", ...args], {
    cwd,
    env,
    encoding: "utf8",
  });
  if (done.status !== 0) throw new Error(`git ${args.join(" ")}: ${done.stderr}`);
  const ours = Math.max(0, ...readFileSync(memory, "utf8").trim().split("\n").map(Number));
  const any = Number(readFileSync(join(base, "time"), "utf8").trim());
  const seconds = (performance.now() - start) / 1000;
  const measured = { store, verb, seconds, ours: Math.round(ours / 1024), any: Math.round(any / 1024) };
  console.error(JSON.stringify(measured));
  results.push(measured);
}

/** Half of it does not compress; no two MiB are the same. */
function writeLarge(path: string): void {
  const block = Buffer.alloc(MiB);
  for (let at = 0, state = 1; at < MiB / 2; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    block[at] = state >> 16;
  }
  const file = openSync(path, "w");
  for (let n = 0; n < size; n++) {
    block.writeUInt32BE(n, 512);
    writeSync(file, block);
  }
  closeSync(file);
}
