/** Repositories that lack their blobs, and a store that has them: what lazy fetches are tested on. */

import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cliEnv, commandFolder } from "../support/cli.js";
import { binDir, git, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

/** A repository whose blobs are in a store, and its source, which has them all. */
export interface LazyClone {
  readonly dir: string;
  readonly source: string;
  /** The folder of the store, in the raw layout. */
  readonly store: string;
  /** The blob of a path. */
  readonly oid: (path: string) => string;
  /** Where the store keeps it. */
  readonly stored: (path: string) => string;
}

/** How to make one. */
export interface LazyOptions {
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly hash?: "sha1" | "sha256";
  /** Paths whose blobs the store does not have. */
  readonly absent?: readonly string[];
  /** The bucket's URL, where it is not the folder itself. */
  readonly url?: (store: string) => string;
  /** Keep the source as a promisor too, asked last. */
  readonly origin?: boolean;
}

/** The store is filled by hand, not by the code under test; the clone has every tree and commit and no blob. */
export function lazyClone(options: LazyOptions): LazyClone {
  const { files, hash = "sha1", absent = [] } = options;
  const root = tempDir("lazy");
  const [source, dir, store] = [join(root, "source"), join(root, "clone"), join(root, "store")];
  git(["init", "-q", "-b", "main", `--object-format=${hash}`, source]);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), content);
  }
  git(["add", "."], { cwd: source });
  git(["commit", "-qm", "one"], { cwd: source });
  const oids = new Map<string, string>();
  for (const line of git(["ls-files", "-s"], { cwd: source }).split("\n")) {
    const [mode, path = ""] = line.split("\t");
    oids.set(path, mode?.split(" ")[1] ?? "");
  }
  const oid = (path: string) => oids.get(path) ?? "";
  const stored = (path: string) => join(store, "objects", oid(path).slice(0, 2), oid(path));
  mkdirSync(store);
  writeFileSync(
    join(store, "git-odb.json"),
    JSON.stringify({ version: 1, layout: "raw", hash, kind: "store" }),
  );
  for (const [path, content] of Object.entries(files)) {
    if (absent.includes(path)) continue;
    mkdirSync(dirname(stored(path)), { recursive: true });
    writeFileSync(stored(path), content);
  }
  git(["config", "uploadpack.allowFilter", "true"], { cwd: source });
  git(["clone", "-q", "--no-checkout", "--filter=blob:none", `file://${source}`, dir]);
  connect(dir, (options.url ?? ((folder) => folder))(store), options.origin === true);
  return { dir, source, store, oid, stored };
}

/** The promisor remote as docs/configuration.md has it, written by hand. */
export function connect(dir: string, url: string, origin: boolean): void {
  if (origin) git(["config", "extensions.partialClone", "origin"], { cwd: dir });
  else {
    git(["config", "remote.origin.promisor", "false"], { cwd: dir });
    git(["config", "--unset", "remote.origin.partialclonefilter"], { cwd: dir });
  }
  const section = `[odb "m"]\n\turl = "${url}"\n\tsubprocessCommand = git-odb-helper-file --name m\n`;
  const remote = `[remote "odb-m"]\n\turl = "odb::${url}"\n\tpromisor = true\n\tpartialclonefilter = blob:none\n`;
  appendFileSync(join(dir, git(["rev-parse", "--git-path", "config"], { cwd: dir })), section + remote);
}

/** What a git with our commands on PATH did. */
export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** How often git started git-remote-odb. */
  readonly launches: number;
}

let traces = 0;

/** Runs git with our commands on PATH. */
export function gitWithOdb(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Ran {
  traces += 1;
  const trace = join(commandFolder(), `trace-${traces}`);
  const done = tryGit(args, { cwd, env: cliEnv({ GIT_TRACE: trace, ...env }) });
  const launches = launchesIn(readFileSync(trace, "utf8"));
  rmSync(trace);
  return { ...done, launches };
}

/** Counts the starts of the remote helper in a GIT_TRACE. */
export function launchesIn(trace: string): number {
  return trace.split("\n").filter((line) => line.includes("exec: git-remote-odb")).length;
}

/** The ids of the objects that lie in promisor packs, by git itself; and that nothing else lies beside them. */
export function promisorObjects(dir: string): string[] {
  const folder = join(git(["rev-parse", "--absolute-git-dir"], { cwd: dir }), "objects/pack");
  const names = readdirSync(folder);
  const oids: string[] = [];
  for (const name of names.filter((each) => each.endsWith(".promisor"))) {
    const index = readFileSync(join(folder, name.replace(/promisor$/, "idx")));
    const format = git(["rev-parse", "--show-object-format"], { cwd: dir });
    const text = git(["show-index", `--object-format=${format}`], { cwd: dir, input: index });
    oids.push(...text.split("\n").map((line) => line.split(" ")[1] ?? ""));
  }
  return oids;
}

/** What a crash or a mistake would leave behind in the object store. */
export function leftovers(dir: string): string[] {
  const objects = join(git(["rev-parse", "--absolute-git-dir"], { cwd: dir }), "objects");
  const found = [...readdirSync(objects), ...readdirSync(join(objects, "pack"))];
  return found.filter((name) => name.startsWith("tmp"));
}

/** git-remote-odb itself, spoken to by pipes; resolves when it has ended. */
export function talk(
  cwd: string,
  url: string,
  input: string,
  env: NodeJS.ProcessEnv = { GIT_DIR: ".git" },
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(join(binDir, "git-remote-odb.cjs"), ["odb-m", url], {
    cwd,
    env: { ...process.env, ...env },
  });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    said.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    said.stderr += chunk;
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, ...said })));
}

/** The lines by which git asks for objects. */
export function asking(...oids: string[]): string {
  return `option progress false\noption object-format\nlist\n${oids.map((oid) => `fetch ${oid} ${oid}\n`).join("")}\n\n`;
}

/** `git fsck` finds nothing, and says nothing but what it always may. */
export function fsck(dir: string): { status: number; stderr: string } {
  const { status, stderr } = tryGit(["fsck"], { cwd: dir, env: cliEnv() });
  return { status, stderr };
}
