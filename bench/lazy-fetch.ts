/** One lazy fetch of one blob from a file bucket, from git's start to its end, beside the least a helper in Node can do. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { interleave, keep, root, table, verdicts } from "./support.js";

const ROUNDS = 21;
const SIZE = 100_000;

const folder = mkdtempSync(join(tmpdir(), "git-odb-bench-"));
const env: NodeJS.ProcessEnv = {
  ...process.env,
  GIT_CONFIG_GLOBAL: "/dev/null",
  XDG_CACHE_HOME: join(folder, "cache"),
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.com",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.com",
};
// It adds 38 ms to every Node 20 process.
delete env.NODE_EXTRA_CA_CERTS;

try {
  mkdirSync(join(folder, "cache"));
  const { source, oids } = makeSource();
  const ours = "git-odb: file bucket, verified, durable";
  const pack = "plain node: copies a prepared pack";
  const loose = "plain node: copies a loose object";
  const variants = [
    variant(pack, source, oids, join(root, "bench/copy-helper.cjs"), prepared(source, oids, "pack")),
    variant(loose, source, oids, join(root, "bench/copy-helper.cjs"), prepared(source, oids, "loose")),
    variant(ours, source, oids, join(root, "dist/bin/git-remote-odb.cjs"), store(source, oids)),
  ];
  const timings = await interleave(variants, { rounds: ROUNDS, warmUp: 2 });
  const text = [table(timings), "", ...verdicts(timings, [{ variant: ours, to: pack, atMost: 1.5 }])].join(
    "\n",
  );
  keep("lazy-fetch", text, timings);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function git(args: readonly string[], cwd: string, input?: string): string {
  return execFileSync("git", args, {
    cwd,
    env,
    encoding: "utf8",
    ...(input !== undefined && { input }),
  }).trim();
}

function makeSource(): { source: string; oids: string[] } {
  const source = join(folder, "source");
  git(["init", "-q", "-b", "main", source], folder);
  for (let n = 0; n < ROUNDS + 3; n++) writeFileSync(join(source, `${n}.bin`), randomBytes(SIZE));
  git(["add", "."], source);
  git(["commit", "-qm", "one"], source);
  git(["config", "uploadpack.allowFilter", "true"], source);
  const oids = git(["ls-files", "-s"], source)
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  return { source, oids };
}

/** The files that the baseline copies: a folder for each object, as they lie in `objects`. */
function prepared(source: string, oids: readonly string[], form: "pack" | "loose"): string {
  const target = join(folder, form);
  for (const oid of oids) {
    const below = form === "pack" ? "pack" : oid.slice(0, 2);
    mkdirSync(join(target, oid, below), { recursive: true });
    if (form === "loose") {
      copyFileSync(join(source, ".git/objects", below, oid.slice(2)), join(target, oid, below, oid.slice(2)));
    } else {
      const name = git(["pack-objects", "-q", join(target, oid, below, "pack")], source, `${oid}\n`);
      writeFileSync(join(target, oid, below, `pack-${name}.promisor`), "");
    }
  }
  return target;
}

function store(source: string, oids: readonly string[]): string {
  const target = join(folder, "store");
  for (const oid of oids) {
    mkdirSync(join(target, "objects", oid.slice(0, 2)), { recursive: true });
    const content = execFileSync("git", ["cat-file", "blob", oid], { cwd: source, env });
    writeFileSync(join(target, "objects", oid.slice(0, 2), oid), content);
  }
  writeFileSync(join(target, "git-odb.json"), '{"version":1,"layout":"raw","hash":"sha1","kind":"store"}\n');
  return target;
}

/** A clone without blobs; each run asks git for the size of the next one. */
function variant(name: string, source: string, oids: readonly string[], helper: string, url: string) {
  const clone = join(folder, `clone-${name.replace(/\W+/g, "-")}`);
  const bin = `${clone}-bin`;
  mkdirSync(bin);
  symlinkSync(helper, join(bin, "git-remote-odb"));
  git(["clone", "-q", "--no-checkout", "--filter=blob:none", `file://${source}`, clone], folder);
  git(["config", "remote.origin.promisor", "false"], clone);
  git(["config", "--unset", "remote.origin.partialclonefilter"], clone);
  git(["config", "remote.odb-m.url", `odb::${url}`], clone);
  git(["config", "remote.odb-m.promisor", "true"], clone);
  git(["config", "remote.odb-m.partialclonefilter", "blob:none"], clone);
  // Ten small promisor packs would be repacked in between.
  git(["config", "maintenance.auto", "false"], clone);
  // Helpers are started through PATH, and git must find them before any other.
  const path = { ...env, PATH: `${bin}${delimiter}${env.PATH}` };
  const left = [...oids];
  return {
    name,
    run() {
      const oid = left.shift() ?? "";
      const start = performance.now();
      const said = execFileSync("git", ["cat-file", "-s", oid], { cwd: clone, env: path, encoding: "utf8" });
      const ms = performance.now() - start;
      if (said.trim() !== String(SIZE)) throw new Error(`${name}: ${oid} is ${said}`);
      return ms;
    },
  };
}
