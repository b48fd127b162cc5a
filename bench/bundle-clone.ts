/**
 * A clone by bundles against a plain clone of the same repository from the same disk: `[commits [rounds]]`.
 * `npm run build` first.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServeProcess } from "../test/support/serve-process.js";
import { interleave, keep, root, table, verdicts } from "./support.js";

const COMMITS = Number(process.argv[2] ?? 3000);
const ROUNDS = Number(process.argv[3] ?? 7);
/** Files changed by a commit, and lines of a file: 3,000 commits make 48,000 objects. */
const CHANGED = 10;
const LINES = 60;

const odb = join(root, "dist/bin/git-odb.cjs");
const dir = mkdtempSync(join(tmpdir(), "git-odb-bench-bundle-"));
const source = join(dir, "source.git");
const bucket = join(dir, "bucket");
const server = await startServeProcess(bucket, { readOnly: true });
try {
  await makeHistory(source, 0, COMMITS);
  run(process.execPath, [odb, "bundle", "create", "-q", source, bucket, "--base-url", server.url]);
  for (let n = 1; n <= 3; n++) {
    await makeHistory(source, COMMITS + (n - 1) * 50, COMMITS + n * 50);
    run(process.execPath, [odb, "bundle", "update", "-q", source, bucket]);
  }
  const objects = run("git", ["-C", source, "count-objects", "-v"]).match(/in-pack: ([0-9]+)/)?.[1];
  const url = `file://${source}`;
  const timings = await interleave(
    [
      variant("git clone", (to) => ["git", "clone", "-q", url, to]),
      variant("git odb bundle clone", (to) => {
        return [
          process.execPath,
          odb,
          "bundle",
          "clone",
          "-q",
          url,
          to,
          "--bundles",
          `${server.url}/bundles.json`,
        ];
      }),
      variant("git clone --bundle-uri", (to) => {
        return ["git", "clone", "-q", `--bundle-uri=${server.url}/bundle-list`, url, to];
      }),
      // What a command of ours costs before it does anything.
      variant("node -e 0", () => [process.execPath, "-e", "0"]),
    ],
    { rounds: ROUNDS },
  );
  const targets = [{ variant: "git odb bundle clone", to: "git clone", atMost: 1.1 }];
  const head = `${objects} objects, one first bundle and three more`;
  keep(
    COMMITS === 3000 ? "bundle-clone" : `bundle-clone-${COMMITS}`,
    [head, table(timings), ...verdicts(timings, targets)].join("\n"),
    {
      objects,
      timings,
    },
  );
} finally {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
}

function variant(name: string, command: (to: string) => string[]) {
  let count = 0;
  return {
    name,
    async run() {
      const to = join(dir, `clone-${name.replaceAll(" ", "-")}-${count++}`);
      const [program = "", ...args] = command(to);
      const start = performance.now();
      const child = spawn(program, args, { stdio: "inherit" });
      const [status] = await once(child, "close");
      const ms = performance.now() - start;
      rmSync(to, { recursive: true, force: true });
      if (status !== 0) throw new Error(`${name}: exit code ${status}`);
      return ms;
    },
  };
}

/** Commits from `from` to `to` on top of what is there, each changing some of 400 files in 40 folders. */
async function makeHistory(repo: string, from: number, to: number): Promise<void> {
  if (from === 0) run("git", ["init", "-q", "--bare", "-b", "main", repo]);
  const child = spawn("git", ["-C", repo, "fast-import", "--quiet"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  for (let n = from; n < to; n++) {
    if (!child.stdin.write(commitText(n, n === from && from > 0))) await once(child.stdin, "drain");
  }
  child.stdin.end();
  await once(child, "close");
  // The deltas of fast-import are poor, and bundles take deltas as they are: both sides are to have the same good ones.
  run("git", ["-C", repo, "repack", "-a", "-d", "-q", ...(from === 0 ? ["-f"] : [])]);
}

function commitText(n: number, continues: boolean): string {
  const parts = [`commit refs/heads/main\ncommitter B <b@x> ${1_700_000_000 + n} +0000\ndata <<E\n${n}\nE\n`];
  if (continues) parts.push("from refs/heads/main^0\n");
  for (let k = 0; k < CHANGED; k++) {
    const file = (n * 37 + k * 11) % 400;
    const lines = Array.from(
      { length: LINES },
      (_, line) => `line ${line} of ${file}: ${(line * 7919) % 1000 === (n + k) % 1000 ? n : line * file}`,
    );
    lines[(n + k) % LINES] = `changed by ${n}: ${Math.sin(n * 31 + k)}`;
    parts.push(`M 100644 inline d${file % 40}/f${file}\ndata <<E\n${lines.join("\n")}\nE\n`);
  }
  return parts.join("");
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26 });
}
