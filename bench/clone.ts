/**
 * Clones a repository of 100,000 objects from an `odb::` file bucket, against `git clone` of the same over file://.
 *
 * node scripts/run-ts.js bench/clone.ts [rounds]   (after npm run build)
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { interleave, keep, root, table, verdicts } from "./support.js";

const COMMITS = 17_000;
const FOLDERS = 50;
const PUSHES = 8;

const dir = mkdtempSync(join(tmpdir(), "git-odb-bench-"));
const bin = join(dir, "bin");
mkdirSync(bin);
symlinkSync(join(root, "dist/bin/git-remote-odb.cjs"), join(bin, "git-remote-odb"));
const env = {
  ...process.env,
  PATH: `${bin}${delimiter}${process.env.PATH}`,
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
};
const git = (args: readonly string[], input?: string) =>
  execFileSync("git", args, { cwd: dir, env, input: input ?? "", maxBuffer: 1 << 30 })
    .toString()
    .trim();

try {
  makeRepository(join(dir, "source"));
  const variants = [
    variant("git clone file://", `file://${join(dir, "source")}`),
    variant("git clone odb::, 1 pack", pushTo(join(dir, "one"), 1)),
    variant(`git clone odb::, ${PUSHES} packs`, pushTo(join(dir, "several"), PUSHES)),
  ];
  const rounds = Number(process.argv[2] ?? 7);
  const timings = await interleave(variants, { rounds });
  const [base, ...others] = variants.map(({ name }) => name);
  const targets = others.map((name) => ({ variant: name, to: base ?? "", atMost: 1.3 }));
  const count = git(["-C", "source", "rev-list", "--objects", "--all", "--count"]);
  const text = [`${count} objects`, table(timings), ...verdicts(timings, targets)].join("\n\n");
  keep("clone", text, { objects: Number(count), timings });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function variant(name: string, url: string) {
  const target = join(dir, "target");
  return {
    name,
    run() {
      rmSync(target, { recursive: true, force: true });
      const start = performance.now();
      git(["clone", "-q", url, target]);
      return performance.now() - start;
    },
  };
}

/** A commit changes two files in two folders: commit, tree, two folders' trees, two blobs. */
function makeRepository(path: string): void {
  git(["init", "-q", "--bare", "-b", "main", path]);
  const stream: string[] = [];
  for (let n = 0; n < COMMITS; n++) {
    const message = `commit ${n}\n`;
    stream.push(`commit refs/heads/main\ncommitter B <b@example.com> ${1_700_000_000 + n} +0000\n`);
    stream.push(`data ${message.length}\n${message}`);
    for (const folder of [n % FOLDERS, (n * 7 + 1) % FOLDERS]) {
      const content = `file of commit ${n} in folder ${folder}\n${"some text that compresses well\n".repeat(n % 20)}`;
      stream.push(`M 100644 inline d${folder}/f${n % 40}.txt\ndata ${content.length}\n${content}`);
    }
    stream.push("\n");
  }
  git(["-C", path, "fast-import", "--quiet"], stream.join(""));
  git(["-C", path, "repack", "-adfq"]);
}

function pushTo(bucket: string, pushes: number): string {
  const url = `odb::${bucket}`;
  const commits = git(["-C", "source", "rev-list", "--first-parent", "--reverse", "main"]).split("\n");
  for (let n = 1; n <= pushes; n++) {
    const commit = commits[Math.ceil((commits.length * n) / pushes) - 1];
    git(["-C", "source", "push", "-q", url, `${commit}:refs/heads/main`]);
  }
  return url;
}
